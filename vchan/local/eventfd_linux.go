package local

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan"
)

// nowait says whether preadv2(RWF_NOWAIT) works on an eventfd: Linux 5.8 and
// later. It starts as true and is given up at the first kernel that says no.
var nowait atomic.Bool

func init() { nowait.Store(true) }

// counter is room for reading an eventfd without an allocation.
type counter struct {
	buf [8]byte
	iov unix.Iovec
}

// read empties the eventfd without ever waiting, whatever its O_NONBLOCK says
// (preadv2(2)). Nothing in it gives EAGAIN, an older kernel errNoNowait.
func (c *counter) read(fd uintptr) error {
	const streamOffset = ^uintptr(0) // -1 in both halves: no offset
	c.iov.Base = &c.buf[0]
	c.iov.SetLen(len(c.buf))
	for {
		_, _, errno := unix.Syscall6(unix.SYS_PREADV2, fd, uintptr(unsafe.Pointer(&c.iov)), 1,
			streamOffset, streamOffset, unix.RWF_NOWAIT)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		case unix.ENOSYS, unix.EOPNOTSUPP, unix.EINVAL:
			return errNoNowait
		default:
			return errno
		}
	}
}

const errNoNowait = unix.EOPNOTSUPP

// readPlain empties an eventfd that is expected to be non-blocking.
func readPlain(fd int, buf []byte) error {
	for {
		if _, err := unix.Read(fd, buf); err != unix.EINTR {
			return err
		}
	}
}

// addOne adds one to an eventfd that is expected to be non-blocking.
func addOne(fd int) error {
	var one [8]byte
	*(*uint64)(unsafe.Pointer(&one)) = 1
	for {
		if _, err := unix.Write(fd, one[:]); err != unix.EINTR {
			return err
		}
	}
}

// checkNonblock finds a description that the peer made blocking.
func checkNonblock(fd int) error {
	fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return fmt.Errorf("look at the eventfd: %w", err)
	}
	if fl&unix.O_NONBLOCK == 0 {
		return fmt.Errorf("%w: it made an eventfd blocking", vchan.ErrViolation)
	}
	return nil
}

func setNonblock(fd int) {
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_RDWR|unix.O_NONBLOCK)
}
