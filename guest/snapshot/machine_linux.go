package snapshot

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clockDistance reads both clocks with one time.Now.
func clockDistance() func() int64 {
	base := time.Now()
	return func() int64 {
		t := time.Now()
		return t.UnixNano() - int64(t.Sub(base)) // Sub is by the monotonic clock
	}
}

// openVMClock maps a VMClock, nil if there is none.
func openVMClock(path string) *vmClock {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	page, err := unix.Mmap(int(f.Fd()), 0, vmClockPage, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	c := newVMClock(page)
	if c == nil {
		_ = unix.Munmap(page)
	}
	return c
}

func (c *vmClock) close() error { return unix.Munmap(c.page) }
