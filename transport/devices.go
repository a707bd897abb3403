package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/xenstore"
)

// MissingDevices lists the devices that a Xen guest needs for xen: and does not have, and the kernel module behind each, "" if no
// module helps. It is empty when all are there.
func MissingDevices() []MissingDevice { return missing(os.Stat) }

// MissingDevice is a device that is not there.
type MissingDevice struct{ Path, Module string }

func missing(stat func(string) (fs.FileInfo, error)) (list []MissingDevice) {
	for _, d := range []MissingDevice{
		{xenstore.DevicePath, ""}, // part of the kernel (CONFIG_XEN_XENBUS_FRONTEND) since it has user space devices
		{xendev.EvtchnPath, "xen-evtchn"},
		{xendev.GntallocPath, "xen-gntalloc"},
	} {
		if _, err := stat(d.Path); errors.Is(err, fs.ErrNotExist) {
			list = append(list, d)
		}
	}
	return list
}

// explainDevices adds to an error that may come from a missing device which ones are missing and what brings them.
func explainDevices(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return explain(err, MissingDevices())
}

func explain(err error, list []MissingDevice) error {
	for _, d := range list {
		if d.Module == "" {
			return fmt.Errorf("%w: %s is missing: this is no Xen guest, or devtmpfs is not mounted on /dev", err, d.Path)
		}
	}
	for i, d := range list {
		if i == 0 {
			err = fmt.Errorf("%w: load the kernel modules: modprobe -a %s", err, d.Module)
		} else {
			err = fmt.Errorf("%w %s", err, d.Module)
		}
	}
	return err
}
