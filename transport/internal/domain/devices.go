package domain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/xenstore"
)

// Missing are the devices that a guest needs for a vchan and does not have.
func Missing() []transport.Device { return missing(os.Stat) }

func missing(stat func(string) (fs.FileInfo, error)) (list []transport.Device) {
	for _, d := range []transport.Device{
		{Path: xenstore.DevicePath}, // part of the kernel (CONFIG_XEN_XENBUS_FRONTEND) since it has user space devices
		{Path: xendev.EvtchnPath, Module: "xen-evtchn"},
		{Path: xendev.GntallocPath, Module: "xen-gntalloc"},
	} {
		if _, err := stat(d.Path); errors.Is(err, fs.ErrNotExist) {
			list = append(list, d)
		}
	}
	return list
}

// Explain adds to an error that may come from a missing device which ones are
// missing and what brings them.
func Explain(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return explain(err, Missing())
}

func explain(err error, list []transport.Device) error {
	var modules []string
	for _, d := range list {
		if d.Module == "" {
			return fmt.Errorf("%w: %s is missing: this is no Xen guest, or devtmpfs is not mounted on /dev", err,
				d.Path)
		}
		modules = append(modules, d.Module)
	}
	if len(modules) == 0 {
		return err
	}
	return fmt.Errorf("%w: load the kernel modules: modprobe -a %s", err, strings.Join(modules, " "))
}

// MissingError says which devices are missing and how to get them; nil for
// none.
func MissingError(list []transport.Device) error {
	var paths, modules []string
	for _, d := range list {
		paths = append(paths, d.Path)
		if d.Module != "" {
			modules = append(modules, d.Module)
		}
	}
	what := "load the kernel modules: modprobe -a " + strings.Join(modules, " ")
	switch {
	case len(paths) == 0:
		return nil
	case len(modules) < len(list):
		what = "mount devtmpfs on /dev; the kernel needs CONFIG_XEN_XENBUS_FRONTEND"
	}
	return fmt.Errorf("no vchan without %s (%s)", strings.Join(paths, ", "), what)
}
