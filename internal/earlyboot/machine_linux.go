package earlyboot

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

var thisMachine = &mounter{
	mount: func(target, fs string) error {
		flags := uintptr(unix.MS_NOSUID | unix.MS_NOEXEC)
		if fs != "devtmpfs" {
			flags |= unix.MS_NODEV
		}
		return unix.Mount(fs, target, fs, flags, "")
	},
	unmount: func(target string) error { return unix.Unmount(target, unix.MNT_DETACH) },
}

func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// insertModule is init_module(2) of a file. A packed one needs Linux 5.17 with
// CONFIG_MODULE_DECOMPRESS.
func insertModule(path string, packed bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if packed {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	err = unix.FinitModule(int(f.Fd()), "", flags)
	if packed && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)) {
		return errors.Join(err, errors.New("this kernel cannot unpack modules: unpack "+path))
	}
	return err
}
