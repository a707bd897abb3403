package lend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// Seals are those that a page has from the start.
	Seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

	// MappedSeals are those that whoever it was lent to adds once it has mapped
	// the page: from then on nobody can make a hole in it. A hole in a page
	// that is mapped a hundred thousand times takes a second, in which whoever
	// touches the page waits in the kernel. They need Linux 5.1 (see CanSeal).
	MappedSeals = unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SEAL
)

// maxPages is how many are lent in all: an event each, of which the kernel keeps
// 16,384 (inotify(7), max_queued_events).
const maxPages = 8192

// nobody is no user's number (setuid(2)).
const nobody = 1<<32 - 1

// Lender lends pages. Its methods may be called from any goroutine.
type Lender struct {
	most int
	note *os.File // inotify
	wg   sync.WaitGroup

	mu    sync.Mutex
	lent  map[int32]uint32 // by watch, to whom
	count map[uint32]int   // by user
}

// New makes a Lender that lends no user more than most pages at a time. It needs
// /proc and inotify(7).
func New(most int) (*Lender, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("count who has memory of ours: make an inotify: %w", err)
	}
	l := &Lender{most: most, note: os.NewFile(uintptr(fd), "inotify"), lent: make(map[int32]uint32), count: make(map[uint32]int)}
	l.wg.Go(l.run)
	page, err := l.Page(nobody) // a try
	if err != nil {
		l.Close()
		return nil, err
	}
	_ = unix.Close(page)
	return l, nil
}

// Close stops counting.
func (l *Lender) Close() {
	_ = l.note.Close()
	l.wg.Wait()
}

// Held is how many pages of ours somebody has that a user was lent.
func (l *Lender) Held(user uint32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count[user]
}

// Page makes a page, which is the user's until nobody has it any more: neither
// the descriptor, which is the caller's to close, nor a copy of it, nor a
// mapping. It is 4,096 bytes long and cannot be made longer or shorter.
func (l *Lender) Page(user uint32) (fd int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count[user] >= l.most || len(l.lent) >= maxPages {
		return -1, fmt.Errorf("%w: %d", ErrTooMany, l.count[user])
	}
	fd, err = l.make(user)
	if err != nil {
		return -1, fmt.Errorf("make a page of memory: %w", err)
	}
	return fd, nil
}

func (l *Lender) make(user uint32) (_ int, err error) {
	first, err := Memory()
	if err != nil {
		return -1, err
	}
	// What memfd_create opens is told of nobody (FMODE_NONOTIFY, since Linux
	// 6.14); a second opening is like any file's.
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", first), unix.O_RDWR|unix.O_CLOEXEC, 0)
	_ = unix.Close(first)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err := unix.Fchmod(fd, 0); err != nil { // nobody opens it a third time
		return -1, err
	}
	var watch int
	cerr := control(l.note, func(note int) {
		watch, err = unix.InotifyAddWatch(note, fmt.Sprintf("/proc/self/fd/%d", fd), unix.IN_CLOSE_WRITE|unix.IN_ONESHOT)
	})
	if err = errors.Join(cerr, err); err != nil {
		return -1, err
	}
	l.lent[int32(watch)] = user
	l.count[user]++
	return fd, nil
}

// Memory makes a page that is not counted; the caller closes it.
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

// run takes back what nobody has any more.
func (l *Lender) run() {
	buf := make([]byte, 64*unix.SizeofInotifyEvent)
	for {
		n, err := l.note.Read(buf)
		if err != nil {
			return
		}
		// A watch on a file, not a directory, has no names: each event has the same size.
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; b = b[unix.SizeofInotifyEvent:] {
			if binary.NativeEndian.Uint32(b[4:])&unix.IN_CLOSE_WRITE != 0 {
				l.back(int32(binary.NativeEndian.Uint32(b)))
			}
		}
	}
}

func (l *Lender) back(watch int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	user, ok := l.lent[watch]
	if !ok {
		return
	}
	delete(l.lent, watch)
	if l.count[user]--; l.count[user] == 0 {
		delete(l.count, user)
	}
}

func control(f *os.File, do func(fd int)) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { do(int(fd)) })
}
