package guest

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/xentropyd/xentropyd/internal/gather"
	"github.com/xentropyd/xentropyd/protocol"
)

// v1Seed is how many bytes of protocol 1 make a seed: as many as gather.Need
// bits, if each is full of entropy.
const v1Seed = gather.Need / 8

// serveV1 speaks protocol 1. It knows no credit, generation or acknowledgement:
// what arrives is mixed in, credited with nothing, and the silence between two
// portions is as long as the host likes.
func (g *Guest) serveV1(ctx context.Context, rw io.ReadWriteCloser) error {
	restores := g.restores()
	defer context.AfterFunc(ctx, func() { rw.Close() })()
	defer rw.Close()
	watchdog := time.AfterFunc(helloTime, func() { rw.Close() })
	entropy, err := protocol.V1Handshake(rw)
	if !watchdog.Stop() && err != nil {
		return fmt.Errorf("host did not answer within %v", helloTime)
	}
	if err != nil {
		return err
	}
	g.mu.Lock()
	again := g.welcomed.known
	g.welcomed.known = true
	g.mu.Unlock()
	g.update(func(s *Status) {
		s.Host.Connected, s.Host.Protocol, s.Host.LastError = true, 1, ""
		s.Host.Degraded = false // protocol 1 does not say
		if again {
			s.Host.Reconnects++
		}
	})
	g.hostIsHere("protocol", 1)
	// A console gives pieces of any size: fewer bytes than make a seed wait for
	// more.
	buf := make([]byte, protocol.MaxSeed)
	defer clear(buf)
	have := 0
	for {
		n, err := entropy.Read(buf[have:])
		have += n
		if have >= v1Seed {
			g.apply(buf[:have], 0, restores)
			g.seededOnce()
			clear(buf[:have])
			have = 0
		}
		if err != nil {
			return err
		}
	}
}
