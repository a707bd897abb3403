package lend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/unixsock"
)

// When we are done with a page it is looked soon whether others are, then twice
// as long after each time. What is unread is looked at at the longest
// intervals.
const lookFirst, lookMost = 10 * time.Millisecond, 10 * time.Second

// Lender lends pages. Its methods may be called from any goroutine, and wait
// for nobody. What others have of a page is known from a watch of its file
// (inotify(7)). It tells when the description that was given away is closed:
// from then on nobody can use the memory, as nobody can open the file anew. And
// it tells when the file is gone, which a descriptor with O_PATH holds up.
type Lender struct {
	most int // of a user
	all  int // of everybody

	mu     sync.Mutex
	watch  int                // the inotify instance; -1 after Close
	lent   map[int32]*Loan    // whose files are there, by watch
	unread map[uint32][]*Loan // whose files are gone, but there are messages that nobody has read, by user
	count  map[uint32]int     // of both, by user
	total  int
	left   int           // with which we are done, and others are not
	timer  *time.Timer   // of the next look, nil for none
	wait   time.Duration // until then
}

// Loan is a page that was lent.
type Loan struct {
	Host  int // of our own; closed by the Lender
	Guest int // to give away; the caller closes it

	lender *Lender
	user   uint32

	// Under the lender's mu.
	wd     int32
	shared bool   // somebody else can use it
	done   bool   // we have done with it
	unmap  func() // what is left to be done; nil for nothing
	unread func() // closes the socket on which it was given away; nil for nothing
	socket int
}

// New makes a Lender that lends no user more than most pages at a time, and all
// together no more than the kernel can tell of (fs.inotify.max_queued_events).
// It needs /proc and inotify.
func New(most int) (*Lender, error) {
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch memory that is lent: %w; see fs.inotify.max_user_instances in sysctl(8)", err)
	}
	l := &Lender{
		most: most, all: queuedEvents() / eventsEach, watch: watch,
		lent: make(map[int32]*Loan), unread: make(map[uint32][]*Loan), count: make(map[uint32]int),
	}
	if err := l.try(); err != nil {
		l.Close()
		return nil, fmt.Errorf("watch memory that is lent: %w", err)
	}
	return l, nil
}

// eventsEach is how many events of a page can wait at a time. The first, that
// the others have closed it, makes us close it too; that comes as a second one,
// then that the file is gone, and its watch. None is ever lost.
const eventsEach = 3

// Who has few pages still gets one when others have many: the last quarter is
// for users with fewer than fewPages, the last eighth for root and the
// process's own.
const fewPages = 16

// queuedEvents is how many events the kernel keeps, inotify(7).
func queuedEvents() int {
	const usual = 16384
	b, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		return usual
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return usual
	}
	return n
}

// try finds out whether this kernel tells when a page is given back.
func (l *Lender) try() error {
	n, err := l.Page(0)
	if err != nil {
		return err
	}
	n.Done(true, func() {})
	mapped, err := unix.Mmap(n.Guest, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	_ = unix.Close(n.Guest)
	if err != nil {
		return err
	}
	with := l.Held(0)
	_ = unix.Munmap(mapped)
	if with != 1 || l.Held(0) != 0 {
		return errors.New("inotify does not tell of memory")
	}
	return nil
}

// Close ends the watch: pages that others have still are forgotten, and so are
// those with which we are done later.
func (l *Lender) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watch < 0 {
		return
	}
	_ = unix.Close(l.watch)
	l.watch = -1
	if l.timer != nil {
		l.timer.Stop()
	}
	for wd, n := range l.lent {
		delete(l.lent, wd)
		if n.done {
			n.forget()
		}
	}
	for user, list := range l.unread {
		delete(l.unread, user)
		for _, n := range list {
			n.forget()
		}
	}
}

// forget closes what is ours of a page at which nobody will look again. What is
// not unmapped stays mapped.
func (n *Loan) forget() {
	if n.Host >= 0 {
		_ = unix.Close(n.Host)
		n.Host = -1
	}
	if n.unread != nil {
		n.unread()
	}
}

// Held is how many pages of ours a user was lent that we have not done with, or
// of which somebody else has something still.
func (l *Lender) Held(user uint32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look()
	l.lookAt(user)
	return l.count[user]
}

// Page makes a page, which is the user's until Done is called and nobody has
// what is given away of it: neither the descriptor, nor a copy of it, nor a
// mapping. It is 4,096 bytes long and cannot be made longer or shorter.
func (l *Lender) Page(user uint32) (*Loan, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watch < 0 {
		return nil, os.ErrClosed
	}
	l.look()
	if l.count[user] >= l.mostOf(user) {
		l.lookAt(user)
	}
	if n := l.count[user]; n >= l.mostOf(user) {
		const format = "%w: %d by this user, %d by all, for whom there are %d (a third of fs.inotify.max_queued_events)"
		return nil, fmt.Errorf(format, ErrTooMany, n, l.total, l.all)
	}
	n, err := l.makeLoan()
	if err != nil {
		return nil, fmt.Errorf("make a page of memory: %w", err)
	}
	n.lender, n.user = l, user
	l.lent[n.wd] = n
	l.count[user]++
	l.total++
	return n, nil
}

// mostOf is how many a user may have now. The caller holds mu.
func (l *Lender) mostOf(user uint32) int {
	own := user == 0 || user == uint32(os.Geteuid())
	switch {
	case l.total >= l.all:
		return 0
	case own || l.total < l.all*3/4:
		return l.most
	case l.total < l.all*7/8:
		return min(l.most, fewPages)
	}
	return 0
}

func (l *Lender) makeLoan() (n *Loan, err error) {
	n = &Loan{shared: true, socket: -1}
	if n.Host, err = Memory(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(n.Host)
		}
	}()
	name := fmt.Sprintf("/proc/self/fd/%d", n.Host)
	// A second opening, whose end is an event. Ours stays open until then.
	if n.Guest, err = unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	wd, err := unix.InotifyAddWatch(l.watch, name, unix.IN_CLOSE_WRITE|unix.IN_DELETE_SELF)
	if err == nil {
		n.wd = int32(wd)
		err = unix.Fchmod(n.Host, 0) // nobody opens it a third time
	} else if err == unix.ENOSPC {
		err = fmt.Errorf("watch it: %w; see fs.inotify.max_user_watches in sysctl(8)", err)
	}
	if err != nil {
		_ = unix.Close(n.Guest) // an event of a watch that nobody knows does no harm
		return nil, err
	}
	return n, nil
}

// Unread is called at most once, before Done: the page stays the user's until
// what we have sent on a socket was read, or the other end is closed. Then drop
// is called, which closes the socket.
func (n *Loan) Unread(socket int, drop func()) {
	l := n.lender
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watch < 0 || unixsock.AllRead(socket) {
		drop()
		return
	}
	n.socket, n.unread = socket, drop
}

// Done is called once, when we have no use for the page any more. unmap undoes
// our own mapping; where the page was not sealed, that is done when nobody else
// has the page: somebody who makes a hole in it would hold up the unmapping,
// and with that all of the process's memory.
func (n *Loan) Done(sealed bool, unmap func()) {
	if sealed {
		unmap()
	} else {
		n.unmap = unmap
	}
	l := n.lender
	l.mu.Lock()
	defer l.mu.Unlock()
	n.done = true
	l.left++
	if l.watch < 0 {
		n.forget()
		return
	}
	if !n.shared {
		n.release()
	}
	l.look()
	if l.wait = lookFirst; l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.arm()
}

// look takes in what the kernel tells. The caller holds mu.
func (l *Lender) look() {
	var buf [64 * unix.SizeofInotifyEvent]byte // events of files have no name
	for {
		got, err := unix.Read(l.watch, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || got <= 0 {
			return
		}
		for b := buf[:got]; len(b) >= unix.SizeofInotifyEvent; b = b[unix.SizeofInotifyEvent:] {
			wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
			n := l.lent[wd]
			switch {
			case n == nil:
			case mask&unix.IN_DELETE_SELF != 0:
				delete(l.lent, wd)
				l.settle(n)
			case mask&unix.IN_CLOSE_WRITE != 0 && n.shared:
				n.shared = false
				if n.done {
					n.release()
				}
			}
		}
	}
}

// release ends our own use of a page that nobody else can use.
func (n *Loan) release() {
	if n.unmap != nil {
		n.unmap()
		n.unmap = nil
	}
	_ = unix.Close(n.Host)
	n.Host = -1
}

// settle ends a loan whose file is gone, unless there is something unread. The
// caller holds mu.
func (l *Lender) settle(n *Loan) {
	if n.unread != nil && !unixsock.AllRead(n.socket) {
		l.unread[n.user] = append(l.unread[n.user], n)
		return
	}
	n.forget()
	if l.left--; l.left == 0 && l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.total--
	if l.count[n.user]--; l.count[n.user] == 0 {
		delete(l.count, n.user)
	}
}

// lookAt settles what of a user's was read meanwhile. The caller holds mu.
func (l *Lender) lookAt(user uint32) {
	list := l.unread[user]
	delete(l.unread, user)
	for _, n := range list {
		l.settle(n)
	}
}

// arm sets the time of the next look, if there is anything to be looked at. The
// caller holds mu.
func (l *Lender) arm() {
	if l.timer != nil || l.left == 0 {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(l.wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.watch < 0 || l.timer != t {
			return
		}
		l.timer = nil
		l.look()
		if l.wait == lookMost {
			for _, user := range slices.Collect(maps.Keys(l.unread)) {
				l.lookAt(user)
			}
		}
		l.wait = min(2*l.wait, lookMost)
		l.arm()
	})
	l.timer = t
}
