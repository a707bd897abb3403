package local

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

// page is the mapping of a channel's memfd, whose rings are inside the page.
type page []byte

func (p page) Page() []byte  { return p }
func (p page) Left() []byte  { return nil }
func (p page) Right() []byte { return nil }
func (p page) Close() error  { return unix.Munmap(p) }

// seals keep a page one page long. A guest can make a hole of it, which is
// filled with zeros when it is next touched: the channel ends, and no memory
// is used beyond the one page.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

// makePage allocates a channel's memory; the caller closes fd.
func makePage() (p page, fd int, err error) {
	// MFD_NOEXEC_SEAL is only known since Linux 6.3.
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err = unix.MemfdCreate("vchan", flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("vchan", flags)
	}
	if err != nil {
		return nil, -1, fmt.Errorf("make a memfd: %w", err)
	}
	if err = unix.Ftruncate(fd, ring.PageSize); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals|unix.F_SEAL_SEAL)
	}
	if err == nil {
		p, err = mapPage(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, -1, fmt.Errorf("make a page of memory: %w", err)
	}
	return p, fd, nil
}

func mapPage(fd int) (page, error) {
	return unix.Mmap(fd, 0, ring.PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// takePage maps what a host sent, if it is what it must be.
func takePage(fd int) (page, ring.Orders, error) {
	var orders ring.Orders
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, orders, fmt.Errorf("the host's memory is no memfd (F_GET_SEALS: %w)", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, orders, fmt.Errorf("look at the host's memfd: %w", err)
	}
	if got&seals != seals || st.Size != ring.PageSize {
		return nil, orders, fmt.Errorf("the host's memfd has %d bytes and seals %#x, want %d and at least %#x", st.Size, got, ring.PageSize, seals)
	}
	p, err := mapPage(fd)
	if err != nil {
		return nil, orders, fmt.Errorf("map the host's memfd: %w", err)
	}
	orders, err = ring.ReadOrders(p)
	if err == nil && orders.Grants() != 0 {
		err = errors.New("the rings of the host's page lie outside it")
	}
	if err != nil {
		_ = p.Close()
		return nil, orders, err
	}
	return p, orders, nil
}
