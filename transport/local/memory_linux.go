package local

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/lend"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// page is the mapping of a channel's memfd, whose rings are inside the page.
type page []byte

func (p page) Page() []byte  { return p }
func (p page) Left() []byte  { return nil }
func (p page) Right() []byte { return nil }
func (p page) Close() error  { return unix.Munmap(p) }

func mapPage(fd int) (page, error) {
	p, err := unix.Mmap(fd, 0, ring.PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a page of memory: %w", err)
	}
	return p, nil
}

// lentPage is the host's view of a page that a guest has. Until the guest has
// touched it, and so made it memory of its own, the host does not: it would be
// the host's for as long as anybody keeps it. And until the guest has sealed it
// the host neither touches nor unmaps it: the guest can still make holes, and
// somebody who makes one in a page that is mapped a hundred thousand times
// holds up whoever does.
type lentPage struct {
	page
	fd      int        // of the memory
	loan    *lend.Loan // nil where nobody counts
	canSeal bool
	sealed  bool
	heard   func() bool // the guest has sent an event
}

// admit is a vchan.Config's. It takes no lock. On a sealed page nobody can make
// a hole, so what is looked at last stays true.
func (p *lentPage) admit() error {
	heard := p.heard()
	if p.canSeal {
		sealed, err := lend.Sealed(p.fd)
		if err != nil {
			return err
		}
		p.sealed = sealed
	}
	switch {
	case !heard && !p.sealed:
		return vchan.ErrNotYet
	case p.canSeal && !p.sealed:
		return fmt.Errorf("%w: it has not sealed the memory", vchan.ErrViolation)
	}
	touched, err := lend.Touched(p.fd)
	if err == nil && !touched {
		err = fmt.Errorf("%w: it has not touched the memory", vchan.ErrViolation)
	}
	if err == nil && !p.page.resident() {
		err = errors.New("the guest's memory is swapped out")
	}
	return err
}

// resident says whether the page can be touched without waiting for a disk
// (mincore(2)); it says so where the kernel does not tell.
func (p page) resident() bool {
	var in [1]byte
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
		uintptr(unsafe.Pointer(&in[0])))
	return errno != 0 || in[0]&1 != 0
}

// hold keeps the page in memory once we have touched it (mlock2(2)): who makes
// its guest swap would have us wait for the disk. It does what it can within
// RLIMIT_MEMLOCK.
func (p page) hold() {
	_, _, _ = unix.Syscall(unix.SYS_MLOCK2, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MLOCK_ONFAULT)
}

func (p *lentPage) Close() error {
	if p.loan == nil {
		_ = unix.Close(p.fd)
		return p.page.Close()
	}
	p.loan.Done(p.sealed || !p.canSeal, func() { _ = p.page.Close() })
	return nil
}

// takePage maps what a host sent, if it is what it must be, touches it, and
// seals it so that nobody else can change it by other means than such a
// mapping. The host formats it after that.
func takePage(fd int) (page, error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("the host's memory is no memfd (F_GET_SEALS: %w)", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("look at the host's memfd: %w", err)
	}
	if got&lend.Seals != lend.Seals || st.Size != ring.PageSize {
		return nil, fmt.Errorf("the host's memfd has %d bytes and seals %#x, want %d and at least %#x", st.Size, got,
			ring.PageSize, lend.Seals)
	}
	p, err := mapPage(fd)
	if err != nil {
		return nil, err
	}
	p[0] = 0
	// a kernel that does not know them has a host that does not ask
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, lend.MappedSeals)
	return p, nil
}
