package xenstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/xentropyd/xentropyd/internal/unixsock"
)

// DevicePath is the kernel's device, the only way to xenstored from inside a
// guest.
const DevicePath = "/dev/xen/xenbus"

// addresses are the places where a xenstored is found, in the order of trying.
func addresses() []string {
	var list []string
	if p := os.Getenv("XENSTORED_PATH"); p != "" {
		list = append(list, p)
	}
	return append(list, "/run/xenstored/socket", "/var/run/xenstored/socket", DevicePath)
}

// dialer tries one address, or all of them in turn.
func dialer(address string) DialFunc {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		if address != "" {
			return DialAddress(ctx, address)
		}
		var all []error
		for _, a := range addresses() {
			rwc, err := DialAddress(ctx, a)
			if err == nil {
				return rwc, nil
			}
			if ctx.Err() != nil {
				return nil, err
			}
			all = append(all, err)
		}
		return nil, fmt.Errorf("no xenstored found: in dom0 start xenstored, in a guest mount devtmpfs, or set "+
			"XENSTORED_PATH: %w",
			errors.Join(all...))
	}
}

// DialAddress connects to the Unix socket of a xenstored or opens the kernel's
// device, whichever the path is. It is for those who need a DialFunc of their
// own; Open is the usual way.
func DialAddress(ctx context.Context, path string) (io.ReadWriteCloser, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Mode()&fs.ModeCharDevice != 0 {
		return openDevice(path)
	}
	return dialSocket(ctx, path)
}

// backlogWait is how long a connect may take while the daemon's backlog, which
// is of 1, is full (our choice).
const backlogWait = 10 * time.Second

func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, backlogWait)
	defer cancel()
	c, err := unixsock.Connect(ctx, path)
	if err != nil {
		return nil, err
	}
	return c, nil
}
