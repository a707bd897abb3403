package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/xentropyd/xentropyd/transport"
)

// autoDialer finds the host of a Xen guest, at each dial anew: over a vchan to domain 0 when the kernel has the devices, else over the
// console of the known name. The console also serves the second process of a guest whose first one has the vchan.
type autoDialer struct {
	missing func() []transport.MissingDevice
	console func(ctx context.Context) error // nil if there is the console, fs.ErrNotExist if not
	open    func(ctx context.Context, address string) (transport.Conn, error)
}

func newAutoDialer() *autoDialer {
	return &autoDialer{
		missing: transport.MissingDevices,
		console: func(ctx context.Context) error {
			_, err := transport.FindConsole(ctx, "")
			return err
		},
		open: transport.Dial,
	}
}

func (a *autoDialer) dial(ctx context.Context, _ string) (transport.Conn, error) {
	missing := a.missing()
	var vchan error
	if len(missing) == 0 {
		c, err := a.open(ctx, "xen:")
		if err == nil || !errors.Is(err, transport.ErrBusy) {
			return c, err
		}
		vchan = err
	} else {
		vchan = missingError(missing)
	}
	err := a.console(ctx)
	switch {
	case err == nil:
		return a.open(ctx, "console:")
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; nor is there a console named %s", vchan, transport.ConsoleName)
	}
	return nil, fmt.Errorf("%w; nor was a console found: %w", vchan, err)
}

// missingError says which devices are missing and how to get them.
func missingError(list []transport.MissingDevice) error {
	var paths, modules []string
	for _, d := range list {
		paths = append(paths, d.Path)
		if d.Module != "" {
			modules = append(modules, d.Module)
		}
	}
	what := "load the kernel modules: modprobe -a " + strings.Join(modules, " ")
	if len(modules) < len(list) {
		what = "mount devtmpfs on /dev; the kernel needs CONFIG_XEN_XENBUS_FRONTEND"
	}
	return fmt.Errorf("no vchan without %s (%s)", strings.Join(paths, ", "), what)
}
