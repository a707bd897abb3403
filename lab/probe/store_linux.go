package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/xentropyd/xentropyd/xenstore"
)

// store collects what stands in xenstore while something else goes on: every
// value that is seen goes into a file, as JSON of paths and values in base64.
func store(set *flag.FlagSet) func(context.Context, string) error {
	until := set.String("until", "", "look again and again until this `FILE` is there")
	out := set.String("out", "", "write to `FILE`")
	return func(ctx context.Context, _ string) error {
		c, err := xenstore.Open(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		seen := make(map[string]map[string]bool)
		looks := 0
		for done := false; !done; looks++ {
			if _, err := os.Stat(*until); err == nil || *until == "" {
				done = true // after one more look
			}
			if err := collect(ctx, c, "/", seen); err != nil {
				return err
			}
		}
		values := make(map[string][][]byte)
		for path, all := range seen {
			for v := range all {
				values[path] = append(values[path], []byte(v))
			}
		}
		b, err := json.Marshal(values)
		if err == nil {
			err = os.WriteFile(*out, b, 0o600)
		}
		if err == nil {
			fmt.Printf("%d looks, %d paths\n", looks, len(values))
		}
		return err
	}
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
