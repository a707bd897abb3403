package local

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan"
)

// roundEvery is how often the watcher looks for stuck calls.
const roundEvery = time.Second

// watcher sees the tethers of many channels with one epoll and one goroutine.
// It ends when its owner and all of its links have released it.
type watcher struct {
	file *os.File // the epoll, itself in the runtime's poller
	raw  syscall.RawConn
	done chan struct{}

	mu    sync.Mutex
	users int
	next  int32
	links map[int32]*link
}

// link is one channel in the watcher.
type link struct {
	fd     int // the tether
	conn   *vchan.Conn
	events *events
	w      *watcher // nil until watched
	token  int32
}

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or os.NewFile would not poll it
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make the epoll pollable: %w", err)
	}
	f := os.NewFile(uintptr(fd), "epoll")
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("use the epoll: %w", err)
	}
	w := &watcher{file: f, raw: raw, done: make(chan struct{}), users: 1, links: map[int32]*link{}}
	go w.run()
	return w, nil
}

// add watches a link whose conn and events are set. Data on the tether is not
// asked for, so a peer that writes there wakes nobody.
func (w *watcher) add(l *link) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		w.next = w.next % math.MaxInt32 // 1 to MaxInt32
		w.next++
		if w.links[w.next] == nil {
			break
		}
	}
	ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: w.next}
	err := w.ctl(unix.EPOLL_CTL_ADD, l.fd, &ev)
	if err != nil {
		return fmt.Errorf("watch the socket: %w", err)
	}
	l.w, l.token = w, w.next
	w.links[l.token] = l
	w.users++
	if len(w.links) == 1 {
		_ = w.file.SetReadDeadline(time.Now().Add(roundEvery))
	}
	return nil
}

func (w *watcher) ctl(op, fd int, ev *unix.EpollEvent) error {
	var err error
	cerr := w.raw.Control(func(epfd uintptr) { err = unix.EpollCtl(int(epfd), op, fd, ev) })
	return errors.Join(cerr, err)
}

// drop ends a link, watched or not, and closes the tether.
func (l *link) drop() {
	if w := l.w; w != nil {
		w.mu.Lock()
		delete(w.links, l.token)
		_ = w.ctl(unix.EPOLL_CTL_DEL, l.fd, nil)
		w.mu.Unlock()
		defer w.release()
	}
	_ = unix.Close(l.fd)
}

// abandon closes a channel that its peer does not count on, or that nobody has
// used yet. It writes to no eventfd, so it waits for nothing; the end of the
// tether tells the peer.
func (l *link) abandon() {
	l.events.dead.Store(true)
	_ = l.conn.Close()
}

// release is for the owner and for each link. The last one ends the goroutine
// and waits for it.
func (w *watcher) release() {
	w.mu.Lock()
	w.users--
	last := w.users == 0
	w.mu.Unlock()
	if last {
		_ = w.file.Close()
		<-w.done
	}
}

// hold takes a further share, unless the watcher is ending.
func (w *watcher) hold() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users == 0 {
		return false
	}
	w.users++
	return true
}

func (w *watcher) run() {
	defer close(w.done)
	var batch [32]unix.EpollEvent
	var n int
	wait := func(fd uintptr) bool {
		n, _ = unix.EpollWait(int(fd), batch[:], 0)
		return n > 0
	}
	last := time.Now()
	for {
		err := w.raw.Read(wait)
		switch {
		case err == nil:
			w.hungUp(batch[:n])
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return // closed
		}
		if time.Since(last) >= roundEvery {
			last = time.Now()
			w.round()
		}
	}
}

// hungUp and round work under mu: a link in the map has its descriptors open.
func (w *watcher) hungUp(batch []unix.EpollEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ev := range batch {
		if l := w.links[ev.Fd]; l != nil {
			l.events.hangUp()
			l.conn.HangUp()
		}
	}
}

func (w *watcher) round() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.links {
		l.events.round()
	}
	var next time.Time // nobody to watch, no rounds
	if len(w.links) > 0 {
		next = time.Now().Add(roundEvery)
	}
	_ = w.file.SetReadDeadline(next)
}

// guestWatcher serves all channels that this process offers.
var guestWatcher struct {
	mu sync.Mutex
	w  *watcher
}

// holdGuestWatcher gives a share to be released.
func holdGuestWatcher() (*watcher, error) {
	g := &guestWatcher
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.w != nil && g.w.hold() {
		return g.w, nil
	}
	w, err := newWatcher()
	if err != nil {
		return nil, err
	}
	g.w = w
	return w, nil
}
