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
	"github.com/xentropyd/xentropyd/internal/earlyboot"
	"github.com/xentropyd/xentropyd/transport"
)

const (
	defaultHost = "local:/run/xentropyd/local.sock"
	hostEnv     = "ENTROPY_HOST"
	autoHost    = "auto" // no address: see autoDialer
)

// xenGuest says whether this is a Xen guest; tests replace it.
var xenGuest = earlyboot.Xen

// hostFlag adds --host to a command.
func hostFlag(cmd *cobra.Command, host *string) {
	cmd.Flags().StringVar(host, "host", "", "`ADDRESS` of the host, or auto: in a Xen guest the host's domain, elsewhere "+defaultHost+" or the user's own daemon (default $"+hostEnv+", else auto)")
}

// hostAddress decides where the host is: what the flag says, else the environment, else what auto finds. In a Xen guest that is left to
// autoDialer.
func hostAddress(flag string) (string, error) {
	address, from := flag, "flag --host"
	if address == "" {
		address, from = os.Getenv(hostEnv), "environment variable "+hostEnv
	}
	if address == "" || address == autoHost {
		if xenGuest() {
			return autoHost, nil
		}
		address = defaultAddress()
	}
	a, err := transport.Parse(address)
	if err != nil {
		return "", cli.Usage(fmt.Errorf("%s: %w", from, err))
	}
	return a.String(), nil
}

// onXen says whether an address leads to another domain. A dial then waits until the host comes, which is told by nobody else.
func onXen(address string) bool {
	return address == autoHost || strings.HasPrefix(address, "xen:") || strings.HasPrefix(address, "console:")
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
	dial := transport.Dial
	if address == autoHost {
		dial = newAutoDialer().dial
	}
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		c, err := dial(ctx, address)
		if err != nil {
			endUsedUp(err)
			if errno, ok := errors.AsType[syscall.Errno](err); ok && nobodyServes(err) && address != autoHost {
				err = fmt.Errorf("dial %s: %w", address, errno) // what each layer adds is the path and the hint once more
			}
			return nil, err // not c: a nil Conn in another interface would not be nil
		}
		return c, nil
	}
}

// nobodyServes says whether a dial failed because there is no socket, or nobody behind it.
func nobodyServes(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// hostHint adds to an error about the host at an address what can be done about it.
func hostHint(address string, err error) error {
	switch {
	case cli.Hint(err) != "":
		return err
	case errors.Is(err, transport.ErrBusy):
		return cli.WithHint(err, "entropy-guest run may have the channel: stop it, or give --host console: where the host plugs consoles too")
	case onXen(address) && errors.Is(err, fs.ErrPermission):
		return cli.WithHint(err, "run it as root: the devices below /dev/xen and the consoles are root's")
	case onXen(address):
		return cli.WithHint(err, "see in domain 0 whether xentropyd runs and what xentropyd status says of this guest, or give another --host")
	case nobodyServes(err):
		return cli.WithHint(err, "nobody serves there: start xentropyd, or give --host")
	case errors.Is(err, fs.ErrPermission):
		return cli.WithHint(err, "this user may not write to the host's socket: join its group, or run it as root")
	}
	return cli.WithHint(err, "see on the host what xentropyd status says, or give another --host")
}
