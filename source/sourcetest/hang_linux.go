package sourcetest

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Hang returns a path whose open(2) and stat(2) do not return before release is
// called, at the test's end at the latest: it is in a FUSE file system that
// answers nothing. It skips a test that may not mount one.
func Hang(t testing.TB) (path string, release func()) {
	t.Helper()
	device, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs FUSE: modprobe fuse, as root: %v", err)
	}
	dir := t.TempDir()
	options := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d", device, unix.S_IFDIR, os.Getuid(), os.Getgid())
	if err := unix.Mount("hang", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		_ = unix.Close(device)
		t.Skipf("needs root, to mount a FUSE file system: %v", err)
	}
	released := false
	release = func() {
		if !released {
			released = true
			_ = unix.Close(device) // all that waits fails
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
	t.Cleanup(release)
	if err := greet(device); err != nil {
		t.Skipf("FUSE does not begin: %v", err)
	}
	return filepath.Join(dir, "device"), release
}

// greet answers the first request, FUSE_INIT, which all others wait for:
// linux/fuse.h, fuse_in_header, fuse_out_header and fuse_init_out.
func greet(device int) error {
	const header, answer, version, minor = 16, 64, 7, 31
	request := make([]byte, 1<<17)
	n, err := unix.Read(device, request)
	if err != nil {
		return err
	}
	if n < 16 {
		return fmt.Errorf("a request of %d bytes", n)
	}
	reply := make([]byte, header+answer)
	binary.NativeEndian.PutUint32(reply, uint32(len(reply)))
	copy(reply[8:], request[8:16]) // unique
	binary.NativeEndian.PutUint32(reply[header:], version)
	binary.NativeEndian.PutUint32(reply[header+4:], minor)
	binary.NativeEndian.PutUint32(reply[header+20:], 4096) // max_write
	_, err = unix.Write(device, reply)
	return err
}
