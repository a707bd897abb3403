package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/xenstore"
)

// storeCommand collects what stands in xenstore while something else goes on.
func storeCommand() *cobra.Command {
	var until, out string
	cmd := &cobra.Command{
		Use: "store", Args: cobra.NoArgs,
		Short: "Write every value that is seen in xenstore into a file, as JSON: paths and values in base64",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			c, err := xenstore.Open(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			seen := make(map[string]map[string]bool)
			looks := 0
			for done := false; !done; looks++ {
				if _, err := os.Stat(until); err == nil || until == "" {
					done = true // after one more look
				}
				if err := collect(ctx, c, "/", seen); err != nil {
					return err
				}
			}
			f, err := os.OpenFile(out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			values := make(map[string][][]byte)
			n := 0
			for path, all := range seen {
				for v := range all {
					values[path] = append(values[path], []byte(v))
					n++
				}
			}
			if err := errors.Join(json.NewEncoder(f).Encode(values), f.Close()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d looks, %d paths, %d values\n", looks, len(values), n)
			return nil
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "look again and again until this `FILE` is there")
	cmd.Flags().StringVar(&out, "out", "", "write to `FILE`")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

// breath is between two nodes: the store serves others meanwhile.
const breath = time.Millisecond

func collect(ctx context.Context, c *xenstore.Client, path string, seen map[string]map[string]bool) error {
	v, err := c.Read(ctx, path)
	switch {
	case errors.Is(err, xenstore.ErrNotFound): // gone meanwhile
		return nil
	case err != nil:
		return err
	}
	if seen[path] == nil {
		seen[path] = make(map[string]bool)
	}
	seen[path][v] = true
	names, err := c.Directory(ctx, path)
	if err != nil && !errors.Is(err, xenstore.ErrNotFound) {
		return err
	}
	time.Sleep(breath)
	for _, name := range names {
		if err := collect(ctx, c, xenstore.Join(path, name), seen); err != nil {
			return err
		}
	}
	return nil
}
