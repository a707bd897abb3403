package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
	"github.com/xentropyd/xentropyd/transport/local"
)

const (
	hostEnv  = "ENTROPY_HOST"
	autoHost = "auto" // no address: the host is looked for at each dial
)

// carriers are those by which the host is reached; tests replace them.
var carriers = all.Carriers

// hostFlag adds --host to a command.
func hostFlag(cmd *cobra.Command, host *string) {
	cmd.Flags().StringVar(host, "host", "", "`ADDRESS` of the host, or auto: in a Xen guest the host's domain, "+
		"elsewhere local:"+local.DefaultSocket+" or the user's own daemon (default $"+hostEnv+", else auto)")
}

// hostAddress decides where the host is: what the flag says, else the
// environment, else what auto finds. Where the host is to be looked for at each
// dial that is autoHost.
func hostAddress(ctx context.Context, flag string) (string, error) {
	address, from := flag, "flag --host"
	if address == "" {
		address, from = os.Getenv(hostEnv), "environment variable "+hostEnv
	}
	if address == "" || address == autoHost {
		if found, ok := carriers.Found(ctx); ok {
			return found, nil
		}
		return autoHost, nil
	}
	a, _, err := carriers.Parse(address)
	if err != nil {
		return "", cli.Usage(fmt.Errorf("%s: %w", from, err))
	}
	return a.String(), nil
}

// reached are the carriers by which the host at an address may be reached.
func reached(address string) transport.Carriers {
	if _, c, err := carriers.Parse(address); err == nil {
		return transport.Carriers{c}
	}
	var list transport.Carriers
	for _, c := range carriers {
		if c.Find != nil {
			list = append(list, c)
		}
	}
	return list
}

// waits says whether a dial waits until the host comes, which is told by nobody
// else.
func waits(address string) bool { return reached(address)[0].Waits }

// dialTime bounds a dial that does not wait for the host to come, so that one
// that hangs is reported (our choice).
const dialTime = 10 * time.Second

// dialer reaches the host at an address.
func dialer(address string) transport.Dialer {
	limit := !waits(address)
	return func(ctx context.Context) (transport.Conn, error) {
		if limit {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, dialTime)
			defer cancel()
		}
		if address == autoHost {
			c, err := carriers.DialFound(ctx)
			endUsedUp(err)
			return c, err
		}
		c, err := carriers.Dial(ctx, address)
		endUsedUp(err)
		if errno, ok := errors.AsType[syscall.Errno](err); ok && nobodyServes(err) && !waits(address) {
			err = fmt.Errorf("dial %s: %w", address, errno) // what each layer adds is the path and the hint once more
		}
		return c, err
	}
}

// nobodyServes says whether a dial failed because there is no socket, or nobody
// behind it.
func nobodyServes(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// hostHint adds to an error about the host at an address what can be done about
// it.
func hostHint(address string, err error) error {
	if cli.Hint(err) != "" {
		return err
	}
	if hint := reached(address)[0].Cure(err); hint != "" {
		return cli.WithHint(err, hint)
	}
	return cli.WithHint(err, "see on the host what xentropyd status says, or give another --host")
}
