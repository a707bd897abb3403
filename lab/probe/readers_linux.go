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
		var dial transport.Dialer
		if !*alone {
			var err error
			if dial, err = all.Dialer(*host); err != nil {
				return err
			}
		}
		g, err := guest.Open(ctx, dial, guest.Options{
			Label: "probe", Log: slog.Default(), MaxPause: 5 * time.Second,
		})
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
