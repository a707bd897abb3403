package xendev

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// duplicate gives another descriptor of an open file. What is closed is not the
// last one then.
func duplicate(fd int, path string) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate a descriptor of %s: %w", path, err)
	}
	return os.NewFile(uintptr(n), path), nil
}

// Duplicate gives another descriptor of the open device, for another process.
func (e *Evtchn) Duplicate() (f *os.File, err error) {
	if cerr := e.raw.Control(func(fd uintptr) { f, err = duplicate(int(fd), EvtchnPath) }); cerr != nil {
		return nil, e.failed(cerr, "duplicate its descriptor")
	}
	return f, err
}

// Duplicate gives another descriptor of the open device, for another process.
func (d *device) Duplicate() (*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return nil, d.failed(ErrClosed, "duplicate its descriptor")
	}
	return duplicate(d.fd, d.path)
}
