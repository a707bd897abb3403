package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/lab/internal/record"
)

// recorder writes a value into a file every so often.
type recorder struct {
	out   string
	every time.Duration
}

func (r *recorder) flags(cmd *cobra.Command, every time.Duration) {
	cmd.Flags().StringVar(&r.out, "out", "", "write the records to `FILE`")
	cmd.Flags().DurationVar(&r.every, "every", every, "from one value to the next")
	_ = cmd.MarkFlagRequired("out")
}

// run records until ctx ends.
func (r *recorder) run(ctx context.Context, value func() (string, error)) error {
	f, err := os.OpenFile(r.out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		var now record.Record
		now.Before, _ = clocks()
		now.Value, err = value()
		if err != nil {
			now.Value = record.Note + err.Error()
		}
		now.After, now.Wall = clocks()
		if _, err := f.Write(record.Append(nil, now)); err != nil {
			return fmt.Errorf("write a record: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f.Close()
		}
	}
}

const kernelUUID = "/proc/sys/kernel/random/uuid"

func uuidsCommand() *cobra.Command {
	var r recorder
	cmd := &cobra.Command{
		Use: "uuids", Args: cobra.NoArgs,
		Short: "Record the UUIDs that the kernel makes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.run(cmd.Context(), func() (string, error) {
				b, err := os.ReadFile(kernelUUID)
				return record.Hash([]byte(strings.TrimSpace(string(b)))), err
			})
		},
	}
	r.flags(cmd, 50*time.Millisecond)
	return cmd
}

func recordsCommand() *cobra.Command {
	var most int
	cmd := &cobra.Command{
		Use: "records FILE", Args: cobra.ExactArgs(1),
		Short: "Print the records around the last restore",
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			list, err := record.Read(f)
			if err != nil {
				return err
			}
			before, across, after := record.Split(list)
			before, after = before[max(0, len(before)-most):], after[:min(most, len(after))]
			var b []byte
			for _, part := range [][]record.Record{before, across, after} {
				for _, r := range part {
					b = record.Append(b, r)
				}
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
	cmd.Flags().IntVar(&most, "most", 200, "at most so many before, and as many after")
	return cmd
}
