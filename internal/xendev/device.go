package xendev

import (
	"fmt"
	"sync"
)

// device is an open /dev/xen/gntdev or gntalloc.
type device struct {
	*driver
	sys System

	mu sync.Mutex
	fd int // -1 when closed
}

func system(sys System) (System, error) {
	if sys == nil {
		return thisMachine()
	}
	return sys, nil
}

func openDevice(sys System, d *driver) (*device, error) {
	sys, err := system(sys)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.path, err)
	}
	fd := -1
	err = bounded(func() (err error) {
		fd, err = sys.Open(d.path)
		return err
	})
	if err != nil {
		return nil, d.openFailed(err)
	}
	return &device{driver: d, sys: sys, fd: fd}, nil
}

// call does one ioctl.
func (d *device) call(op string, request uint32, arg []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return d.failed(ErrClosed, op)
	}
	fd := d.fd
	err := bounded(func() error {
		_, err := d.sys.Ioctl(fd, request, arg)
		return err
	})
	if err != nil {
		return d.failed(err, op)
	}
	return nil
}

func (d *device) mmap(op string, index uint64, pages int) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return nil, d.failed(ErrClosed, op)
	}
	var b []byte
	fd := d.fd
	err := bounded(func() (err error) {
		b, err = d.sys.Mmap(fd, int64(index), pages*PageSize)
		return err
	})
	if err != nil {
		return nil, d.failed(err, op)
	}
	return b, nil
}

// Close closes the device. What is mapped stays mapped, and keeps what the
// kernel holds for it, until it is unmapped.
func (d *device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return d.failed(ErrClosed, "close")
	}
	fd := d.fd
	d.fd = -1
	return bounded(func() error { return d.sys.Close(fd) })
}
