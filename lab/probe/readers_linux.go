package main

import (
	"context"
	"flag"
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// recordedRead is the size of each read, in bytes.
const recordedRead = 16

// readers is a program on the guest library as an application would write it.
func readers(set *flag.FlagSet) func(context.Context, string) error {
	r := recorder(set, 5*time.Millisecond)
	host := set.String("host", "console:", "`ADDRESS` of the host")
	alone := set.Bool("alone", false, "ask no host")
	return func(ctx context.Context, _ string) error {
		var dial guest.Dialer
		if !*alone {
			dial = func(ctx context.Context) (transport.Conn, error) {
				c, err := all.Carriers.Dial(ctx, *host)
				if err != nil {
					return nil, err
				}
				return c, nil
			}
		}
		g, err := guest.Open(ctx, dial, guest.WithLabel("probe"), guest.WithLogger(slog.Default()),
			guest.WithDialTimeout(0), guest.WithBackoff(5*time.Millisecond, 5*time.Second))
		if err != nil {
			return err
		}
		defer g.Close()
		b := make([]byte, recordedRead)
		return r(ctx, func() (string, error) {
			_, err := g.Read(b)
			return hash(b), err
		})
	}
}
