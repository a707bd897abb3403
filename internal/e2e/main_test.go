// Package e2e tests host and guest together: over the local channel, through
// restarts, kills and long runs. Tests run in short forms; set XENTROPYD_SOAK
// to a duration, as in XENTROPYD_SOAK=60s, for the long ones.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/seedfile"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
	"github.com/xentropyd/xentropyd/transport/local"
)

// daemonDir is set in a process that is to be a daemon, to the directory where
// it keeps its socket and seed.
const daemonDir = "XENTROPYD_E2E_DAEMON"

// parts are what a process of a test can be instead, by the environment
// variable that says so.
var parts = map[string]func(string) error{}

func TestMain(m *testing.M) {
	if dir := os.Getenv(daemonDir); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := daemon(ctx, dir, func() { fmt.Println("listening") }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	for name, play := range parts {
		if part := os.Getenv(name); part != "" {
			if err := play(part); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

func socketIn(dir string) string { return "local:" + filepath.Join(dir, "local.sock") }

// generous lets many guests of one user connect and draw.
func generous() host.Config {
	c := host.DefaultConfig()
	c.Budget = host.Budget{Bytes: 1 << 20, Period: time.Second}
	c.Limits.SessionsPerGroup, c.Limits.SessionsPerGuest, c.Limits.NewSessionsPerSecond = 4096, 4096, 1e6
	c.Seed.Interval = 100 * time.Millisecond
	c.Log = slog.New(slog.DiscardHandler)
	return c
}

// gathering is an Entropy that logs nothing.
func gathering(sources []source.Source, seeds host.SeedStore, options ...source.Option) (*host.Entropy, error) {
	c := host.DefaultEntropyConfig()
	c.Sources, c.Seeds, c.Harvester, c.Log = sources, seeds, options, slog.New(slog.DiscardHandler)
	return host.NewEntropy(c)
}

// daemon is a host with this machine's sources, serving until ctx ends.
func daemon(ctx context.Context, dir string, listening func()) error {
	var sources []source.Source
	for _, f := range source.Probe() {
		if f.Source != nil {
			sources = append(sources, f.Source)
		}
	}
	file, err := seedfile.Open(filepath.Join(dir, "seed"))
	if err != nil {
		return err
	}
	defer file.Close()
	entropy, err := gathering(sources, file)
	if err != nil {
		return err
	}
	server, err := host.NewServer(entropy, generous())
	if err != nil {
		return err
	}
	l, err := all.Carriers.Listen(socketIn(dir), transport.DefaultListenOptions())
	if err != nil {
		return err
	}
	listening()
	return serve(ctx, entropy, server, l)
}

// serve runs a host until ctx ends.
func serve(ctx context.Context, entropy *host.Entropy, server *host.Server, l transport.Listener) error {
	var wg sync.WaitGroup
	errs := make([]error, 3)
	wg.Go(func() { errs[0] = entropy.Run(ctx) })
	wg.Go(func() { errs[1] = server.Run(ctx) })
	wg.Go(func() { errs[2] = server.Serve(ctx, l) })
	wg.Wait()
	return errors.Join(errs...)
}

// dialer reaches the daemon in dir.
func dialer(dir string) transport.Dialer {
	return local.Dialer(filepath.Join(dir, "local.sock"))
}
