package lend

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// Seals are those that a page has from the start.
	Seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

	// MappedSeals are those that whoever it was lent to adds once it has mapped
	// and touched the page: from then on nobody can make a hole in it. A hole
	// in a page that is mapped a hundred thousand times takes a second, in
	// which whoever touches or unmaps the page waits in the kernel. They need
	// Linux 5.1 (see CanSeal).
	MappedSeals = unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SEAL
)

// Memory makes a page that is not counted; the caller closes it. It is a hole
// until somebody touches it, to whom it is then charged.
func Memory() (fd int, err error) {
	// MFD_NOEXEC_SEAL is only known since Linux 6.3.
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err = unix.MemfdCreate("vchan", flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("vchan", flags)
	}
	if err != nil {
		return -1, err
	}
	if err = unix.Ftruncate(fd, pageSize); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, Seals)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// CanSeal says whether the kernel knows MappedSeals.
func CanSeal() bool {
	fd, err := Memory()
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, MappedSeals)
	return err == nil
}

// Sealed says whether a page has MappedSeals. It takes no lock.
func Sealed(fd int) (bool, error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return false, fmt.Errorf("look at the memory's seals: %w", err)
	}
	return got&MappedSeals == MappedSeals, nil
}

// Touched says whether a page has memory, as it has once somebody has touched
// it. It touches nothing.
func Touched(fd int) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, fmt.Errorf("look at the memory's blocks: %w", err)
	}
	return st.Blocks*512 >= pageSize, nil // st_blocks counts 512 bytes each, stat(2)
}
