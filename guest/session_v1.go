package guest

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/xentropyd/xentropyd/protocol"
)

// serveV1 speaks protocol 1. It knows no credit, generation or acknowledgement: what arrives is mixed in, credited with nothing, and
// the silence between two portions is as long as the host likes.
func (g *Guest) serveV1(ctx context.Context, rw io.ReadWriteCloser) error {
	defer context.AfterFunc(ctx, func() { rw.Close() })()
	defer rw.Close()
	watchdog := time.AfterFunc(g.cfg.helloTime, func() { rw.Close() })
	entropy, err := protocol.V1Handshake(rw)
	if !watchdog.Stop() && err != nil {
		return fmt.Errorf("host did not answer within %v", g.cfg.helloTime)
	}
	if err != nil {
		return err
	}
	g.mu.Lock()
	again := g.welcomed.known
	g.welcomed.known = true
	g.mu.Unlock()
	g.update(func(s *Status) {
		s.Connected, s.Protocol, s.LastError = true, 1, ""
		if again {
			s.Reconnects++
		}
	})
	buf := make([]byte, protocol.MaxSeed)
	defer clear(buf)
	for {
		n, err := entropy.Read(buf)
		if n > 0 {
			g.apply(buf[:n], 0)
			clear(buf[:n])
		}
		if err != nil {
			return err
		}
	}
}
