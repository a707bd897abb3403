package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/lab/internal/debian"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

func fetchCommand() *cobra.Command {
	var update bool
	c := &cobra.Command{
		Use: "fetch", Args: cobra.NoArgs,
		Short: "Fetch Debian packages into the cache and unpack them there",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withCache(func(cache *debian.Cache) error {
				if err := fetch(cmd.Context(), cache, update, xen.Machines); err != nil {
					return err
				}
				progress("everything is in %s", cache.Root)
				return nil
			})
		},
	}
	c.Flags().BoolVarP(&update, "update", "u", false, "take newer versions of packages that are there already")
	return c
}

// withCache opens and locks the cache.
func withCache(f func(*debian.Cache) error) error {
	cache, err := openCache()
	if err != nil {
		return err
	}
	unlock, err := cache.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	return f(cache)
}

func fetch(ctx context.Context, cache *debian.Cache, update bool, machines []*xen.Machine) error {
	done := make(map[string]bool)
	for _, m := range machines {
		if done[m.Arch] {
			continue
		}
		done[m.Arch] = true
		if err := cache.Fetch(ctx, m.Arch, m.Packages(), update); err != nil {
			return err
		}
	}
	return nil
}
