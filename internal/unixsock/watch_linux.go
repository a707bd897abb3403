package unixsock

import (
	"maps"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchEvery is how often the sockets are looked at.
const watchEvery = time.Second

// Watch looks for sockets whose other end has shut down its reading but not
// hung up. Its methods may be called from any goroutine. The zero Watch is
// ready.
type Watch struct {
	mu    sync.Mutex
	socks map[syscall.RawConn]func()
	timer *time.Timer // of the next look; nil while there is nothing to look at
}

// Add has a socket looked at until it is removed. found is called once, if the
// other end has shut down its reading, in a goroutine of the Watch's.
func (w *Watch) Add(raw syscall.RawConn, found func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.socks == nil {
		w.socks = make(map[syscall.RawConn]func())
	}
	w.socks[raw] = found
	w.arm()
}

// Remove is for a socket that is about to be closed, or is not known. It does
// not wait for its found.
func (w *Watch) Remove(raw syscall.RawConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.socks, raw)
	if len(w.socks) == 0 && w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// arm sets the time of the next look. The caller holds mu.
func (w *Watch) arm() {
	if w.timer != nil || len(w.socks) == 0 {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(watchEvery, func() {
		w.mu.Lock()
		if w.timer != t {
			w.mu.Unlock()
			return
		}
		w.timer = nil
		w.arm()
		all := maps.Clone(w.socks)
		w.mu.Unlock()
		for raw, found := range all {
			is := false
			_ = raw.Control(func(fd uintptr) { is = hasShutReading(int(fd)) })
			if is {
				w.Remove(raw)
				found()
			}
		}
	})
	w.timer = t
}

// hasShutReading sends nothing, which is an error all the same to who does not
// read, and asks whether that one can still send.
func hasShutReading(fd int) bool {
	if unix.Sendto(fd, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil) != unix.EPIPE {
		return false
	}
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 0
}
