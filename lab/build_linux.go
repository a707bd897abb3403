package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/lab/internal/debian"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
	"github.com/xentropyd/xentropyd/lab/scenario"
)

const module = "github.com/xentropyd/xentropyd"

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use: "build", Args: cobra.NoArgs,
		Short: "Compile this tree's programs and tests and make the images",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withCache(func(cache *debian.Cache) error {
				images, err := build(cmd.Context(), cache, xen.Machines)
				for _, dir := range images {
					progress("images in %s", dir.Dir)
				}
				return err
			})
		},
	}
}

// build fetches what is missing and makes the images, by architecture.
func build(ctx context.Context, cache *debian.Cache, machines []*xen.Machine) (map[string]*xen.Images, error) {
	if err := fetch(ctx, cache, false, machines); err != nil {
		return nil, err
	}
	images := make(map[string]*xen.Images)
	for _, m := range machines {
		if images[m.Arch] != nil {
			continue
		}
		progress("compiling for %s", m.Arch)
		programs, err := compile(ctx, cache, m.Arch)
		if err != nil {
			return nil, err
		}
		peer := filepath.Join(cache.Root, "bin", m.Arch, xen.CPeer)
		if err := xen.CompileC(ctx, cache, m, "vchan/xen/testdata/cpeer/cpeer.c", peer, "libxenvchan.so."+xen.Version); err != nil {
			return nil, err
		}
		programs[xen.CPeer] = peer
		progress("making images for %s", m.Arch)
		if images[m.Arch], err = xen.Build(ctx, cache, m, programs); err != nil {
			return nil, err
		}
	}
	return images, nil
}

// compile makes static programs: init, the commands, and the tests that scenarios run inside.
func compile(ctx context.Context, cache *debian.Cache, arch string) (map[string]string, error) {
	dir := filepath.Join(cache.Root, "bin", arch)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	programs := make(map[string]string)
	jobs := make(map[string][]string)
	for name, pkg := range map[string]string{"init": "lab/init", "xentropyd": "cmd/xentropyd", "entropy-guest": "cmd/entropy-guest", "probe": "lab/probe", "vchanbench": "lab/vchanbench", "hostile": "lab/hostile"} {
		jobs[name] = []string{"build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, name), module + "/" + pkg}
	}
	for _, pkg := range scenario.TestPackages() {
		name := xen.TestBinary(pkg)
		jobs[name] = []string{"test", "-c", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, name), module + "/" + pkg}
	}
	var wg sync.WaitGroup
	failed := make(chan error, len(jobs))
	one := make(chan struct{}, 2) // the go command is parallel by itself
	for name, args := range jobs {
		programs[name] = filepath.Join(dir, name)
		wg.Go(func() {
			one <- struct{}{}
			defer func() { <-one }()
			cmd := exec.CommandContext(ctx, "go", args...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
			if out, err := cmd.CombinedOutput(); err != nil {
				failed <- fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return nil, err
	default:
		return programs, nil
	}
}
