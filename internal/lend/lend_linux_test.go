package lend

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func newLender(t *testing.T, most int) *Lender {
	l, err := New(most)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENOENT) {
		t.Skipf("no inotify, or no /proc: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(l.Close)
	return l
}

// page gives the descriptor to give away of a page with which we have done.
func page(t *testing.T, l *Lender, user uint32) (fd int) {
	n, err := l.Page(user)
	require.NoError(t, err)
	n.Done(true, func() {})
	return n.Guest
}

// Our own mapping of a page that is not sealed is undone when nobody else has
// the page, not before.
func TestUnsealedIsUnmappedAtTheEnd(t *testing.T) {
	l := newLender(t, 10)
	n, err := l.Page(7)
	require.NoError(t, err)
	unmapped := false
	n.Done(false, func() { unmapped = true })
	require.Equal(t, 1, l.Held(7))
	require.False(t, unmapped)
	require.NoError(t, unix.Close(n.Guest))
	require.Zero(t, l.Held(7))
	require.True(t, unmapped)

	n, err = l.Page(7)
	require.NoError(t, err)
	require.NoError(t, unix.Close(n.Guest))
	require.Equal(t, 1, l.Held(7), "we have it still")
	unmapped = false
	n.Done(false, func() { unmapped = true })
	require.Zero(t, l.Held(7))
	require.True(t, unmapped)
	require.Empty(t, l.count)
}

// What nobody asks for is found by and by.
func TestFoundByAndBy(t *testing.T) {
	l := newLender(t, 10)
	synctest.Test(t, func(t *testing.T) {
		left := func() (pages int, timed bool) {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.left, l.timer != nil
		}
		fd := page(t, l, 7)
		pages, timed := left()
		require.Equal(t, 1, pages)
		require.True(t, timed)
		time.Sleep(2 * lookMost)
		synctest.Wait()
		_, timed = left()
		require.True(t, timed, "somebody has it still")
		require.NoError(t, unix.Close(fd))
		time.Sleep(lookMost)
		synctest.Wait()
		pages, timed = left()
		require.Zero(t, pages)
		require.False(t, timed)

		fd = page(t, l, 7)
		require.NoError(t, unix.Close(fd))
		time.Sleep(lookFirst)
		synctest.Wait()
		pages, timed = left()
		require.Zero(t, pages, "soon, at first")
		require.False(t, timed)
	})
}

// Whatever is left of a page counts: a descriptor, a copy, a mapping, a message
// that nobody has read.
func TestHeld(t *testing.T) {
	l := newLender(t, 10)
	fd := page(t, l, 7)
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
		require.Equal(t, 1, l.Held(7))
	}
	require.NoError(t, unix.Close(p[1]))
	require.Zero(t, l.Held(7))
	requireNothingLeft(t, l)
}

func requireNothingLeft(t *testing.T, l *Lender) {
	t.Helper()
	require.Empty(t, l.lent)
	require.Empty(t, l.unread)
	require.Empty(t, l.count)
	require.Zero(t, l.total)
	require.Zero(t, l.left)
}

// What nobody has read counts too, as long as whoever could read it has its
// socket.
func TestUnread(t *testing.T) {
	for name, over := range map[string]func(fd int) error{
		"read":   func(fd int) error { _, err := unix.Read(fd, make([]byte, 8)); return err },
		"closed": unix.Close,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLender(t, 1)
			p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			defer unix.Close(p[1])
			_, err = unix.Write(p[0], []byte{1})
			require.NoError(t, err)
			n, err := l.Page(7)
			require.NoError(t, err)
			require.NoError(t, unix.Close(n.Guest))
			dropped := false
			n.Unread(p[0], func() { dropped = true; _ = unix.Close(p[0]) })
			n.Done(true, func() {})
			require.Equal(t, 1, l.Held(7))
			require.False(t, dropped)
			_, err = l.Page(7)
			require.ErrorIs(t, err, ErrTooMany)
			require.NoError(t, over(p[1]))
			n, err = l.Page(7)
			require.NoError(t, err)
			require.True(t, dropped)
			require.NoError(t, unix.Close(n.Guest))
			n.Unread(-1, func() {})
			n.Done(true, func() {})
			require.Zero(t, l.Held(7))
			requireNothingLeft(t, l)
		})
	}
}

// All users together have no more than the kernel has room to tell of. Who has
// few goes before who has many, and root before all.
func TestTooManyInAll(t *testing.T) {
	l := newLender(t, 64)
	l.all = 128
	var fds []int
	fill := func(user uint32) (n int) {
		for ; ; n++ {
			loan, err := l.Page(user)
			if err != nil {
				require.ErrorIs(t, err, ErrTooMany)
				require.ErrorContains(t, err, "fs.inotify.max_queued_events")
				return n
			}
			fds = append(fds, loan.Guest)
			loan.Done(true, func() {})
		}
	}
	require.Equal(t, 64, fill(7))
	require.Equal(t, 32, fill(8), "three quarters")
	require.Zero(t, fill(7))
	require.Equal(t, fewPages, fill(9))
	require.Zero(t, fill(10), "seven eighths")
	require.Equal(t, 128*1/8, fill(0))
	for _, fd := range fds {
		require.NoError(t, unix.Close(fd))
	}
	for _, user := range []uint32{0, 7, 8, 9} {
		require.Zero(t, l.Held(user))
	}
	requireNothingLeft(t, l)
}

// A descriptor that gives no access keeps the file all the same.
func TestPathDescriptorCounts(t *testing.T) {
	l := newLender(t, 10)
	n, err := l.Page(7)
	require.NoError(t, err)
	path, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", n.Guest), unix.O_PATH|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Close(n.Guest))
	host := n.Host
	n.Done(true, func() {})
	require.Equal(t, 1, l.Held(7))
	_, err = unix.FcntlInt(uintptr(host), unix.F_GETFD, 0)
	require.ErrorIs(t, err, unix.EBADF, "ours is closed: nobody can use it")
	require.NoError(t, unix.Close(path))
	require.Zero(t, l.Held(7))
	requireNothingLeft(t, l)
}

// A page has no memory before somebody touches it, to whom it is charged then.
func TestTouched(t *testing.T) {
	l := newLender(t, 3)
	n, err := l.Page(7)
	require.NoError(t, err)
	defer unix.Close(n.Guest)
	touched, err := Touched(n.Host)
	require.NoError(t, err)
	require.False(t, touched)
	mapped, err := unix.Mmap(n.Guest, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	defer unix.Munmap(mapped)
	touched, err = Touched(n.Host)
	require.NoError(t, err)
	require.False(t, touched)
	mapped[0] = 1
	touched, err = Touched(n.Host)
	require.NoError(t, err)
	require.True(t, touched)
}

func TestTooMany(t *testing.T) {
	l := newLender(t, 3)
	var fds []int
	for range 3 {
		fds = append(fds, page(t, l, 7))
	}
	_, err := l.Page(7)
	require.ErrorIs(t, err, ErrTooMany)
	other := page(t, l, 8) // another user
	require.NoError(t, unix.Close(other))
	require.NoError(t, unix.Close(fds[0]))
	require.Equal(t, 2, l.Held(7))
	fds[0] = page(t, l, 7)
	for _, fd := range fds {
		require.NoError(t, unix.Close(fd))
	}
	require.Zero(t, l.Held(7))
}

// Nobody but root can open it anew, which the count would not see.
func TestCannotBeOpenedAnew(t *testing.T) {
	l := newLender(t, 3)
	fd := page(t, l, 7)
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
	fd := page(t, l, 7)
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

// A page that outlives its Lender, and that somebody has still, leaves no
// descriptor of ours.
func TestDoneAfterClose(t *testing.T) {
	l := newLender(t, 3)
	n, err := l.Page(7)
	require.NoError(t, err)
	defer unix.Close(n.Guest)
	l.Close()
	host := n.Host
	n.Done(true, func() {})
	_, err = l.Page(7)
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = unix.FcntlInt(uintptr(host), unix.F_GETFD, 0)
	require.ErrorIs(t, err, unix.EBADF)
}
