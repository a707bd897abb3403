package local

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

// memory is the mapping of a whole memfd: page, left ring, right ring.
type memory struct {
	all         []byte
	left, right int // bytes of the rings outside the page
}

func (m *memory) Page() []byte  { return m.all[:ring.PageSize:ring.PageSize] }
func (m *memory) Left() []byte  { return m.part(ring.PageSize, m.left) }
func (m *memory) Right() []byte { return m.part(ring.PageSize+m.left, m.right) }
func (m *memory) Close() error  { return unix.Munmap(m.all) }

func (m *memory) part(at, n int) []byte {
	if n == 0 {
		return nil
	}
	return m.all[at : at+n : at+n]
}

// setOrders lays the rings into the mapping.
func (m *memory) setOrders(o ring.Orders) {
	m.left = o.LeftPages() * ring.PageSize
	m.right = o.RightPages() * ring.PageSize
}

// memorySize is the exact size of a memfd for these orders, bytes.
func memorySize(o ring.Orders) int { return (1 + o.Grants()) * ring.PageSize }

func mapMemory(fd, size int) (*memory, error) {
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of the memfd: %w", size, err)
	}
	return &memory{all: b}, nil
}

// makeMemory allocates and maps what a guest offers; the caller closes fd.
func makeMemory(o ring.Orders) (m *memory, fd int, err error) {
	// MFD_NOEXEC_SEAL is only known since Linux 6.3.
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err = unix.MemfdCreate("vchan", flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("vchan", flags)
	}
	if err != nil {
		return nil, -1, fmt.Errorf("make a memfd: %w", err)
	}
	m, err = sealAndMap(fd, o)
	if err != nil {
		_ = unix.Close(fd)
		return nil, -1, err
	}
	return m, fd, nil
}

func sealAndMap(fd int, o ring.Orders) (*memory, error) {
	size := memorySize(o)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, fmt.Errorf("set the memfd's size to %d bytes: %w", size, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, fmt.Errorf("seal the memfd: %w", err)
	}
	m, err := mapMemory(fd, size)
	if err != nil {
		return nil, err
	}
	m.setOrders(o)
	return m, nil
}

// pageNumbers is the grant list of local mode.
func pageNumbers(o ring.Orders) []uint32 {
	list := make([]uint32, o.Grants())
	for i := range list {
		list[i] = uint32(i + 1)
	}
	return list
}
