package unixsock

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A guest can send descriptors on its socket. Nobody here asks for them, so
// they come into no table of ours, but where the kernel takes them along it is
// our thread that drops them, when it reads the bytes that they came with or
// closes the socket that they wait in. If a descriptor was the last one of a
// TCP socket that lingers (SO_LINGER, socket(7)), the thread waits in the
// kernel until that has sent what it has, or for as long as its owner chose.
//
// Since Linux 6.16 a socket can do without (SO_PASSRIGHTS): a message with
// descriptors is then an error of the sender's. Before that each call that may
// drop any takes a place of its user's first, of which there are few, and is
// called back from a wait: the wait ends at a signal.
const (
	slotsUser = 4                      // calls at once for one user, a thread each if they wait
	slotsAll  = 64                     // for all together
	callTime  = 100 * time.Millisecond // until a call is called back
	slotPause = 5 * time.Millisecond   // for a reader who finds no place
)

// PassRights is false in tests that play a kernel before 6.16.
var PassRights = true

// RefuseDescriptors has the kernel refuse descriptors on a listening socket and
// those that come of it. It says whether the kernel can.
func RefuseDescriptors(fd int) bool {
	return PassRights && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0) == nil
}

// Slots are the places of all users.
type Slots struct {
	all   chan struct{}
	mu    sync.Mutex
	users map[uint32]*UserSlots
}

// NewSlots returns Slots whose places are all free.
func NewSlots() *Slots {
	return &Slots{all: make(chan struct{}, slotsAll), users: make(map[uint32]*UserSlots)}
}

// UserSlots are the places of one user. Nil is for a kernel that refuses
// descriptors.
type UserSlots struct {
	slots  *Slots
	uid    uint32
	places chan struct{}
	users  int // sockets; under slots.mu

	closing atomic.Int32
}

// maxClosing is how many sockets of one user wait to be closed before that is
// too many.
const maxClosing = 64

// Full says whether too many sockets of the user wait to be closed. A further
// one is not to be accepted.
func (u *UserSlots) Full() bool { return u != nil && u.closing.Load() >= maxClosing }

// Of gives a user's places, to be let go by Close or CloseSocket. It is nil on
// nil.
func (h *Slots) Of(uid uint32) *UserSlots {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.users[uid]
	if u == nil {
		u = &UserSlots{slots: h, uid: uid, places: make(chan struct{}, slotsUser)}
		h.users[uid] = u
	}
	u.users++
	return u
}

// Idle says whether nobody has any.
func (h *Slots) Idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.users) == 0
}

func (u *UserSlots) letGo() {
	h := u.slots
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.users--; u.users == 0 {
		delete(h.users, u.uid)
	}
}

// ErrNoSlot says that a read found no place; the caller looks at its deadline
// and comes again.
var ErrNoSlot = errors.New("no slot is free")

// Take runs a read. Without a place it gives ErrNoSlot, after a moment.
func (u *UserSlots) Take(read func() (int, error)) (int, error) {
	if u == nil {
		return read()
	}
	select {
	case u.places <- struct{}{}:
		defer func() { <-u.places }()
	default:
		time.Sleep(slotPause)
		return 0, ErrNoSlot
	}
	select {
	case u.slots.all <- struct{}{}:
		defer func() { <-u.slots.all }()
	default:
		time.Sleep(slotPause)
		return 0, ErrNoSlot
	}
	var n int
	var err error
	calledBack(func() { n, err = read() })
	return n, err
}

// Close closes a socket, in a goroutine of its own where that may take a while:
// it ends when the user's places are free, and holds no thread until then.
func (u *UserSlots) Close(f *os.File) error {
	if u == nil {
		return f.Close()
	}
	last := KeepLast(f)
	err := f.Close()
	u.CloseSocket(last)
	return err
}

// CloseSocket is Close for a descriptor.
func (u *UserSlots) CloseSocket(fd int) {
	if u == nil {
		_ = unix.Close(fd)
		return
	}
	u.closing.Add(1)
	go func() {
		defer u.letGo()
		defer u.closing.Add(-1)
		u.places <- struct{}{}
		u.slots.all <- struct{}{}
		calledBack(func() { _ = unix.Close(fd) })
		<-u.slots.all
		<-u.places
	}()
}

// CloseListener closes a socket in which others wait, who may have sent
// descriptors already.
func (h *Slots) CloseListener(l *os.File) error {
	if h == nil {
		return l.Close()
	}
	last := KeepLast(l)
	err := l.Close()
	calledBack(func() { _ = unix.Close(last) })
	return err
}

// KeepLast shuts a socket down, which its other end sees, and gives a second
// descriptor of it, whose close then drops what waits there; -1 if there is
// none to be had.
func KeepLast(c syscall.Conn) (fd int) {
	fd = -1
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(s uintptr) {
			fd, _ = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 3)
			_ = unix.Shutdown(int(s), unix.SHUT_RDWR)
		})
	}
	return fd
}

// calledBack runs a system call and, while it lasts, sends its thread a signal
// now and then. Go's runtime takes it for a request to be preempted, which it
// may get at any time.
func calledBack(call func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, tid := unix.Getpid(), unix.Gettid()
	var mu sync.Mutex // over is not to be overtaken by a Reset
	over := false
	var t *time.Timer
	mu.Lock()
	t = time.AfterFunc(callTime, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			_ = unix.Tgkill(pid, tid, unix.SIGURG)
			t.Reset(callTime)
		}
	})
	mu.Unlock()
	call()
	mu.Lock()
	over = true
	t.Stop()
	mu.Unlock()
}
