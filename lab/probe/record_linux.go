package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// recorder declares the flags of a command that writes a value into a file
// every so often, and gives what does it until ctx ends.
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
			var now record
			now.Before, _ = clocks()
			now.Value, err = value()
			if err != nil {
				now.Value = note + err.Error()
			}
			now.After, _ = clocks()
			if _, err := f.Write(now.line()); err != nil {
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
			return hash([]byte(strings.TrimSpace(string(b)))), err
		})
	}
}

// records prints the values around the last restore, and whether each came
// before, across or after it. The lab outside can tell with that which of them
// two copies of a guest have in common.
func records(set *flag.FlagSet) func(context.Context, string) error {
	most := set.Int("most", 200, "at most so many before, and as many after")
	return func(_ context.Context, file string) error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		list, err := readRecords(string(text))
		if err != nil {
			return err
		}
		before, across, after := split(list)
		var b strings.Builder // in one piece: the line outside is slow
		show := func(when string, list []record) {
			for _, r := range list {
				fmt.Fprintln(&b, when, r.Value)
			}
		}
		show("before", before[max(0, len(before)-*most):])
		show("across", across)
		show("after", after[:min(*most, len(after))])
		_, err = os.Stdout.WriteString(b.String())
		return err
	}
}
