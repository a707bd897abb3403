package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport/all"
)

// requested is the size of what is asked for, bytes.
const requested = 64

// seeds speaks protocol 2 by itself and prints what no product shows: the
// seeds. They seed nothing.
func seeds(set *flag.FlagSet) func(context.Context, string) error {
	host := set.String("host", "xen:", "`ADDRESS` of the host")
	count := set.Int("count", 3, "so many seeds: one on connecting, the others asked for")
	pause := set.Duration("pause", 0, "before each request")
	return func(ctx context.Context, _ string) error {
		c, err := all.Carriers.Dial(ctx, *host)
		if err != nil {
			return err
		}
		defer c.Close()
		stop := context.AfterFunc(ctx, func() { c.Close() })
		defer stop()
		hello := protocol.Hello{Label: "probe seeds"}
		if _, err := rand.Read(hello.Nonce[:]); err != nil {
			return err
		}
		g := protocol.NewGuest(hello)
		if _, err := c.Write(g.AppendHello(nil)); err != nil {
			return err
		}
		decoder := protocol.NewGuestDecoder(c)
		for n := 0; n < *count; {
			f, err := decoder.Next()
			if err != nil {
				return err
			}
			m, err := g.Open(f)
			if err != nil {
				return err
			}
			var answer []byte
			switch m := m.(type) {
			case protocol.Seed:
				fmt.Printf("%x\n", m.Payload)
				if n++; n < *count {
					time.Sleep(*pause)
					answer = g.Append(nil, protocol.Request{ID: uint32(n), Bytes: requested})
				}
			case protocol.Ping:
				answer = g.Append(nil, protocol.Pong(m))
			case protocol.Refusal:
				return fmt.Errorf("refused: %s", m.Reason)
			case protocol.Close:
				return errors.New("the host closed: " + m.Text)
			}
			if _, err := c.Write(answer); err != nil {
				return err
			}
		}
		_, err = c.Write(g.Append(nil, protocol.Close{Reason: protocol.CloseDone}))
		return err
	}
}
