package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/xentropyd/xentropyd/lab/internal/record"
)

// recorder declares the flags of a command that writes a value into a file every
// so often, and gives what does it until ctx ends.
func recorder(set *flag.FlagSet, often time.Duration) func(ctx context.Context, value func() (string, error)) error {
	out := set.String("out", "", "write the records to `FILE`")
	every := set.Duration("every", often, "from one value to the next")
	return func(ctx context.Context, value func() (string, error)) error {
		f, err := os.OpenFile(*out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		for tick := time.NewTicker(*every); ; {
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
}

const kernelUUID = "/proc/sys/kernel/random/uuid"

// uuids records the UUIDs that the kernel makes.
func uuids(set *flag.FlagSet) func(context.Context, string) error {
	r := recorder(set, 50*time.Millisecond)
	return func(ctx context.Context, _ string) error {
		return r(ctx, func() (string, error) {
			b, err := os.ReadFile(kernelUUID)
			return record.Hash([]byte(strings.TrimSpace(string(b)))), err
		})
	}
}

// records prints the records around the last restore.
func records(set *flag.FlagSet) func(context.Context, string) error {
	most := set.Int("most", 200, "at most so many before, and as many after")
	return func(_ context.Context, file string) error {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		list, err := record.Read(f)
		if err != nil {
			return err
		}
		before, across, after := record.Split(list)
		var b []byte
		for _, part := range [][]record.Record{
			before[max(0, len(before)-*most):], across, after[:min(*most, len(after))],
		} {
			for _, r := range part {
				b = record.Append(b, r)
			}
		}
		_, err = os.Stdout.Write(b)
		return err
	}
}
