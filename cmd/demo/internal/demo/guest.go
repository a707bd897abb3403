package demo

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/transport/all"
)

// How a guest reads: little and often, so that every block of every guest can
// be compared.
const (
	readBytes   = 256
	readEvery   = time.Millisecond
	reportEvery = 100 * time.Millisecond
	blockBytes  = 16
	hashBytes   = 8 // of SHA-256: with a million blocks, a chance of 2^-25 that two different ones look the same
)

// report is one line of JSON from a guest process to the demo. The counts are
// since the process started.
type report struct {
	Seeded     bool          `json:"seeded"` // by the host
	Connected  bool          `json:"connected"`
	Generation uint64        `json:"generation"`
	Seeds      uint64        `json:"seeds"`
	SeedBytes  uint64        `json:"seed_bytes"`
	Bytes      uint64        `json:"bytes"` // random bytes read
	Reconnects uint64        `json:"reconnects"`
	Errors     uint64        `json:"errors"`        // reads that failed
	Pause      time.Duration `json:"longest_pause"` // between two reads
	Blocks     []byte        `json:"blocks"`        // hashes of the blocks read since the last report
	Trouble    string        `json:"trouble,omitempty"`
}

// Guest is a guest process: it reads random bytes all the time and reports to
// out until ctx ends.
func Guest(ctx context.Context, address, name string, out io.Writer) error {
	dial, err := all.Dialer(address)
	if err != nil {
		return err
	}
	g, err := guest.Open(ctx, dial, guest.Options{Label: name, MaxPause: 400 * time.Millisecond})
	if err != nil {
		return err
	}
	defer g.Close()
	lines := json.NewEncoder(out)
	var r report
	buf := make([]byte, readBytes)
	defer clear(buf)
	last := time.Now()
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for next := last; ; {
		_, err := g.Read(buf)
		now := time.Now()
		if err != nil {
			r.Errors++
			r.Trouble = err.Error()
		} else {
			r.Pause = max(r.Pause, now.Sub(last))
			last = now
			r.Bytes += readBytes
			r.Blocks = appendHashes(r.Blocks, buf)
		}
		ended := ctx.Err() != nil
		if ended || !now.Before(next) {
			next = now.Add(reportEvery)
			h := g.Status().Host
			r.Seeded, r.Connected, r.Generation = h.Seeds > 0, h.Connected, h.Generation
			r.Seeds, r.SeedBytes, r.Reconnects = h.Seeds, h.SeedBytes, h.Reconnects
			if err := lines.Encode(r); err != nil {
				return fmt.Errorf("report: %w", err)
			}
			r.Blocks = r.Blocks[:0]
		}
		if ended {
			return nil
		}
		<-tick.C
	}
}

// appendHashes adds a short hash of each block: enough to find a block again,
// no way back to it.
func appendHashes(dst, random []byte) []byte {
	for len(random) >= blockBytes {
		h := sha256.Sum256(random[:blockBytes])
		dst = append(dst, h[:hashBytes]...)
		random = random[blockBytes:]
	}
	return dst
}
