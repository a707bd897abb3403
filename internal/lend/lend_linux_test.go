package lend

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func newLender(t *testing.T, most int) *Lender {
	l, err := New(most)
	if err != nil {
		t.Skipf("this machine cannot count: %v", err)
	}
	t.Cleanup(l.Close)
	return l
}

func (l *Lender) settles(t *testing.T, user uint32, want int) {
	t.Helper()
	require.Eventually(t, func() bool { return l.Held(user) == want }, time.Minute, time.Millisecond)
}

// Whatever is left of a page counts: a descriptor, a copy, a mapping, a message that nobody has read.
func TestHeld(t *testing.T) {
	l := newLender(t, 10)
	fd, err := l.Page(7)
	require.NoError(t, err)
	require.Equal(t, 1, l.Held(7))
	copied, err := unix.Dup(fd)
	require.NoError(t, err)
	mapped, err := unix.Mmap(fd, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Sendmsg(p[0], []byte{1}, unix.UnixRights(fd), nil, 0))
	for _, end := range []func() error{
		func() error { return unix.Close(fd) },
		func() error { return unix.Close(copied) },
		func() error { return unix.Munmap(mapped) },
		func() error { return unix.Close(p[0]) },
	} {
		require.NoError(t, end())
		time.Sleep(5 * time.Millisecond) // an event would be there by now, mostly
		require.Equal(t, 1, l.Held(7))
	}
	require.NoError(t, unix.Close(p[1]))
	l.settles(t, 7, 0)
	require.Empty(t, l.lent)
}

func TestTooMany(t *testing.T) {
	l := newLender(t, 3)
	var fds []int
	for range 3 {
		fd, err := l.Page(7)
		require.NoError(t, err)
		fds = append(fds, fd)
	}
	_, err := l.Page(7)
	require.ErrorIs(t, err, ErrTooMany)
	other, err := l.Page(8)
	require.NoError(t, err, "another user")
	require.NoError(t, unix.Close(other))
	require.NoError(t, unix.Close(fds[0]))
	l.settles(t, 7, 2)
	fds[0], err = l.Page(7)
	require.NoError(t, err)
	for _, fd := range fds {
		require.NoError(t, unix.Close(fd))
	}
	l.settles(t, 7, 0)
}

// Nobody but root can open it anew, which the count would not see.
func TestCannotBeOpenedAnew(t *testing.T) {
	l := newLender(t, 3)
	fd, err := l.Page(7)
	require.NoError(t, err)
	defer unix.Close(fd)
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(fd, &st))
	require.Zero(t, st.Mode&0o777)
	require.EqualValues(t, os.Geteuid(), st.Uid)
}

// Once it is sealed for good there are no holes; before there may be.
func TestNoHolesInASealedPage(t *testing.T) {
	if !CanSeal() {
		t.Skip("this kernel is older than 5.1: it has no F_SEAL_FUTURE_WRITE")
	}
	l := newLender(t, 3)
	fd, err := l.Page(7)
	require.NoError(t, err)
	defer unix.Close(fd)
	punch := func() error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, pageSize)
	}
	require.NoError(t, punch())
	mapped, err := unix.Mmap(fd, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	defer unix.Munmap(mapped)
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, MappedSeals)
	require.NoError(t, err)
	require.ErrorIs(t, punch(), unix.EPERM)
	require.ErrorIs(t, unix.Madvise(mapped, unix.MADV_REMOVE), unix.EPERM)
	require.ErrorIs(t, unix.Ftruncate(fd, 0), unix.EPERM)
	mapped[0] = 1 // who has it can write to it
}
