package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/transport/all"
)

// defaults is the configuration without a file: the system's for root, else one
// in the user's own directories.
func defaults() (config.Config, error) {
	if os.Geteuid() == 0 || os.Geteuid() == -1 { // -1: no such thing on this system
		return systemDefault(), nil
	}
	runtimeDir, stateDir := os.Getenv("XDG_RUNTIME_DIR"), os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(runtimeDir) {
		return config.Config{}, cli.WithHint(errors.New("find a directory for sockets: XDG_RUNTIME_DIR is not set"),
			"set XDG_RUNTIME_DIR to a directory that only you can write to, run as root, or name the paths in a "+
				"file given with --config")
	}
	if !filepath.IsAbs(stateDir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return config.Config{}, cli.WithHint(fmt.Errorf("find a directory for the seed file: %w", err),
				"set XDG_STATE_HOME or HOME")
		}
		stateDir = filepath.Join(home, ".local", "state")
	}
	return config.UserDefault(runtimeDir, stateDir), nil
}

// systemDefault is the system's configuration without a file: guests that this
// machine is known to have are served, too, such as a Xen host's.
func systemDefault() config.Config {
	c := config.Default()
	for _, carrier := range all.Carriers {
		if carrier.Usual != nil && carrier.Usual() {
			c.Listen = append(c.Listen, carrier.Scheme+":")
		}
	}
	return c
}

// loadConfig reads the file, or gives the defaults for no file. A file that
// cannot be used is wrong usage: trying again would not help.
func loadConfig(file string) (config.Config, error) {
	if file == "" {
		return defaults()
	}
	c, err := config.Load(file, systemDefault())
	if errors.Is(err, fs.ErrNotExist) {
		err = cli.WithHint(err, "without --config the defaults are used; packaging/xentropyd.toml is an example "+
			"that shows them all")
	}
	return c, cli.Usage(err)
}

// clientFlags say which daemon a command speaks to.
type clientFlags struct{ config, control string }

func (f *clientFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "",
		"`FILE` with the daemon's configuration, to find its control socket")
	cmd.Flags().StringVar(&f.control, "control", "", "`PATH` of the daemon's control socket")
	cmd.MarkFlagsMutuallyExclusive("config", "control")
}

// paths are the control sockets to try, in turn.
func (f *clientFlags) paths() ([]string, error) {
	if f.control != "" {
		return []string{f.control}, nil
	}
	system := config.Default().Control
	c, err := loadConfig(f.config)
	switch {
	case f.config != "" && err != nil:
		return nil, err
	case err != nil, c.Control == system:
		return []string{system}, nil
	case f.config != "":
		return []string{c.Control}, nil
	}
	return []string{c.Control, system}, nil // the user's own daemon, then the system's
}

// connect finds a daemon that runs.
func (f *clientFlags) connect(ctx context.Context) (c *control.Client, s control.Status, err error) {
	err = f.find(func(there *control.Client) (err error) {
		c = there
		s, err = c.Status(ctx)
		return err
	})
	return c, s, err
}

// find asks one daemon after the other until one is there.
func (f *clientFlags) find(ask func(*control.Client) error) error {
	paths, err := f.paths()
	if err != nil {
		return cli.Usage(err)
	}
	var first error
	for _, p := range paths {
		err := ask(control.Dial(p))
		if err == nil {
			return nil
		}
		if first == nil || errors.Is(first, control.ErrNotRunning) && !errors.Is(err, control.ErrNotRunning) {
			first = err
		}
	}
	return hintForClient(first)
}

func hintForClient(err error) error {
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return cli.WithHint(err, "start it with xentropyd run, or name another socket with --control")
	case errors.Is(err, control.ErrNoAnswer):
		return cli.WithHint(err, "it is there, but stopped (kill -CONT lets it go on) or very busy: see its log, or "+
			"start it again")
	case errors.Is(err, control.ErrDenied):
		return cli.WithHint(err, "run this as root, or list your user or group in [rights] of the daemon's "+
			"configuration and restart it")
	case errors.Is(err, os.ErrPermission):
		return cli.WithHint(err, "run this as root or as a member of the socket's group")
	}
	return err
}
