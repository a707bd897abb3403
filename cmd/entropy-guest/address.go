package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/transport"
)

const (
	defaultHost = "local:/run/xentropyd/local.sock"
	hostEnv     = "ENTROPY_HOST"
)

// hostFlag adds --host to a command.
func hostFlag(cmd *cobra.Command, host *string) {
	cmd.Flags().StringVar(host, "host", "", "`ADDRESS` of the host (default $"+hostEnv+", else "+defaultHost+", else the user's own daemon)")
}

// hostAddress decides where the host is: what the flag says, else the environment, else the default.
func hostAddress(flag string) (string, error) {
	address, from := flag, "flag --host"
	if address == "" {
		address, from = os.Getenv(hostEnv), "environment variable "+hostEnv
	}
	if address == "" {
		address = defaultAddress()
	}
	a, err := transport.Parse(address)
	if err != nil {
		return "", cli.Usage(fmt.Errorf("%s: %w", from, err))
	}
	return a.String(), nil
}

// defaultAddress is the system's daemon or, if this user runs one of his own and the system does not, that one.
func defaultAddress() string {
	if _, err := os.Stat(strings.TrimPrefix(defaultHost, "local:")); err == nil {
		return defaultHost
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		own := filepath.Join(dir, "xentropyd", "local.sock")
		if _, err := os.Stat(own); err == nil {
			return "local:" + own
		}
	}
	return defaultHost
}

// dialer reaches the host at an address.
func dialer(address string) guest.Dialer {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		c, err := transport.Dial(ctx, address)
		if err != nil {
			return nil, err // not c: a nil Conn in another interface would not be nil
		}
		return c, nil
	}
}

// hostHint adds to an error about the host what can be done about it.
func hostHint(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return cli.WithHint(err, "nobody serves there: start xentropyd, or give --host")
	case errors.Is(err, fs.ErrPermission):
		return cli.WithHint(err, "this user may not write to the host's socket: join its group, or run it as root")
	}
	return cli.WithHint(err, "see on the host what xentropyd status says, or give another --host")
}
