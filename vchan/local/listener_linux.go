package local

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan"
)

// Listener takes guests. It has one goroutine that accepts, two for each
// handshake under way (bounded in number and time), and one that watches the
// tethers of all its channels.
type Listener struct {
	path  string
	opts  ListenOptions
	ul    *net.UnixListener
	own   os.FileInfo
	watch *watcher
	addr  vchan.Addr

	ready   chan accepted // as long as MaxPending: sending never waits
	closing chan struct{}
	wg      sync.WaitGroup

	queue queue
	held  held
}

type accepted struct {
	link *link
	peer Peer
}

func listen(path string, opts ListenOptions) (*Listener, error) {
	w, err := newWatcher()
	if err != nil {
		return nil, err
	}
	ul, own, err := bindSocket(path, opts.Mode)
	if err != nil {
		w.release()
		return nil, err
	}
	l := &Listener{
		path: path, opts: opts, ul: ul, own: own, watch: w,
		addr:  vchan.Addr{Net: "local", Name: path},
		ready: make(chan accepted, opts.MaxPending), closing: make(chan struct{}),
	}
	l.queue.init(opts.MaxPending)
	l.wg.Go(l.serve)
	return l, nil
}

// Accept waits for the next guest whose offer was found good. The Conn is a
// vchan client, already connected. After Close it gives net.ErrClosed.
func (l *Listener) Accept() (*vchan.Conn, Peer, error) {
	select {
	case <-l.closing:
	case a := <-l.ready:
		l.queue.free()
		return a.link.conn, a.peer, nil
	}
	return nil, Peer{}, &net.OpError{Op: "accept", Net: l.addr.Net, Addr: l.addr, Err: net.ErrClosed}
}

// Addr is the socket's address.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close stops listening, removes the socket file if it is still ours, turns
// away who waits, and returns when the goroutines have ended, but for what a
// guest holds up, which ends with the guest. Channels that
// were accepted live on until they are closed, and with the first of them the
// goroutine that watches them.
func (l *Listener) Close() error {
	if !l.queue.close() {
		return &net.OpError{Op: "close", Net: l.addr.Net, Addr: l.addr, Err: net.ErrClosed}
	}
	close(l.closing)
	err := errors.Join(removeSocket(l.path, l.own), l.ul.Close())
	l.wg.Wait()
	for {
		select {
		case a := <-l.ready:
			a.link.abandon()
			continue
		default:
		}
		break
	}
	l.watch.release()
	return err
}

// serve accepts until the listener is closed. An error of accept (mostly no
// descriptors left) is waited out.
func (l *Listener) serve() {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		uc, err := l.ul.AcceptUnix()
		if err != nil {
			select {
			case <-l.closing:
				return
			case <-time.After(pause):
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			pause = min(2*pause, longest)
			continue
		}
		pause = shortest
		peer, err := peerOf(uc)
		if err != nil {
			_ = uc.Close()
			continue
		}
		p := l.queue.admit(uc, peer)
		if p == nil {
			_ = uc.Close()
			return
		}
		l.wg.Go(func() { l.handshake(p) })
	}
}

// outcome is what a handshake came to.
type outcome struct {
	link *link
	err  error
}

// handshake is one guest's way from connect to Accept. The guest may hold up
// the goroutine that bargains, but neither its place nor Close.
func (l *Listener) handshake(p *pending) {
	done := make(chan outcome, 1)
	go func() {
		link, err := l.bargain(p)
		_ = p.uc.Close() // the tether is a duplicate
		done <- outcome{link, err}
	}()
	o, ok := l.await(done)
	if !ok {
		l.held.add(p.peer.UID, 1)
		go func() { // ends when the guest lets go, at the latest with this process
			if o := <-done; o.link != nil {
				o.link.abandon()
			}
			l.held.add(p.peer.UID, -1)
		}()
		o.err = errHeldUp
	}
	if o.err != nil {
		l.queue.leave(p)
		if l.opts.Refused != nil {
			l.opts.Refused(p.peer, o.err)
		}
		return
	}
	l.ready <- accepted{link: o.link, peer: p.peer}
}

// await gives up on a handshake that is over its own time limits. When the
// listener closes, these are none: the queue wakes who waits for an offer.
func (l *Listener) await(done <-chan outcome) (o outcome, ok bool) {
	t := time.NewTimer(2*l.opts.HandshakeTimeout + heldSlack)
	defer t.Stop()
	select {
	case o = <-done:
		return o, true
	case <-t.C:
		return o, false
	case <-l.closing:
	}
	t.Reset(heldSlack)
	select {
	case o = <-done:
		return o, true
	case <-t.C:
		return o, false
	}
}

var (
	errEvicted = errors.New("too many guests are connecting")
	errClosing = errors.New("the host is closing")
)

// bargain reads the offer, takes it or says why not.
func (l *Listener) bargain(p *pending) (*link, error) {
	// The queue may cut this short, so it is set under its lock.
	l.queue.limit(p, time.Now().Add(l.opts.HandshakeTimeout))
	if err := l.held.check(p.peer.UID); err != nil { // what it sends is not taken in
		_, _ = p.uc.Write(encodeAnswer(statusBusy, err.Error()))
		return nil, err
	}
	fds, err := receive(p.uc)
	if errors.Is(err, errSilent) {
		return nil, err
	}
	why, status := l.queue.heard(p), uint16(statusRefused)
	if why != nil {
		err, status = why, statusBusy
	}
	_ = p.uc.SetDeadline(time.Now().Add(l.opts.HandshakeTimeout)) // for the answer
	if err == nil {
		var k *link
		if k, err = l.take(p, fds); err == nil {
			return k, nil
		}
	} else {
		closeAll(fds)
	}
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) {
		status = statusBusy
	}
	_, _ = p.uc.Write(encodeAnswer(status, err.Error()))
	return nil, err
}

// take makes the channel of an offer that is in form; fds are its to close.
func (l *Listener) take(p *pending, fds []int) (*link, error) {
	fd, err := tether(p.uc)
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	k, err := accept(fds, fd, l.opts.MaxOrder, l.addr, vchan.Addr{
		Net: "local", Name: fmt.Sprintf("%s guest %d", l.path, p.peer.PID),
	})
	if err != nil {
		return nil, err
	}
	if err = l.watch.add(k); err == nil {
		_, err = p.uc.Write(encodeAnswer(statusAccepted, ""))
	}
	if err != nil {
		k.abandon()
		return nil, err
	}
	return k, nil
}
