package main

import (
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/lab/internal/record"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// recordedRead is the size of each read, in bytes.
const recordedRead = 16

// readersCommand is a program on the guest library as an application would write it.
func readersCommand() *cobra.Command {
	var r recorder
	var host string
	var alone bool
	cmd := &cobra.Command{
		Use: "readers", Args: cobra.NoArgs,
		Short: "Record what the guest library gives",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var dial transport.Dialer
			if !alone {
				var err error
				if dial, err = all.Dialer(host); err != nil {
					return err
				}
			}
			g, err := guest.Open(cmd.Context(), dial, guest.Options{
				Label: "probe", Log: slog.Default(), MaxPause: 5 * time.Second,
			})
			if err != nil {
				return err
			}
			defer g.Close()
			b := make([]byte, recordedRead)
			return r.run(cmd.Context(), func() (string, error) {
				_, err := g.Read(b)
				return record.Hash(b), err
			})
		},
	}
	r.flags(cmd, 5*time.Millisecond)
	cmd.Flags().StringVar(&host, "host", "console:", "`ADDRESS` of the host")
	cmd.Flags().BoolVar(&alone, "alone", false, "ask no host")
	return cmd
}
