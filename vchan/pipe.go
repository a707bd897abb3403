package vchan

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

// Pipe makes a channel inside one process, on every system: for tests of what
// sits on top. The client is already connected.
func Pipe(o ring.Orders) (server, client *Conn, err error) {
	if err := o.Check(); err != nil {
		return nil, nil, err
	}
	m := pipeMemory{page: make([]byte, ring.PageSize)}
	if n := o.LeftPages(); n > 0 {
		m.left = make([]byte, n*ring.PageSize)
	}
	if n := o.RightPages(); n > 0 {
		m.right = make([]byte, n*ring.PageSize)
	}
	a, b := make(chan struct{}, 1), make(chan struct{}, 1)
	addr := [2]Addr{{Net: "pipe", Name: "server"}, {Net: "pipe", Name: "client"}}
	server, err = New(Config{
		Role: ring.Server, Orders: o, Grants: make([]uint32, o.Grants()),
		Memory: m, Events: newPipeEvents(a, b), Local: addr[0], Remote: addr[1],
	})
	if err != nil {
		return nil, nil, err
	}
	client, err = New(Config{
		Role: ring.Client, Orders: o,
		Memory: m, Events: newPipeEvents(b, a), Local: addr[1], Remote: addr[0],
	})
	if err != nil {
		_ = server.Close()
		return nil, nil, err
	}
	return server, client, nil
}

type pipeMemory struct{ page, left, right []byte }

func (m pipeMemory) Page() []byte  { return m.page }
func (m pipeMemory) Left() []byte  { return m.left }
func (m pipeMemory) Right() []byte { return m.right }
func (m pipeMemory) Close() error  { return nil }

// pipeEvents are two channels that hold one event each.
type pipeEvents struct {
	in, out chan struct{}
	closed  chan struct{}

	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{} // closed at the deadline
}

func newPipeEvents(in, out chan struct{}) *pipeEvents {
	return &pipeEvents{in: in, out: out, closed: make(chan struct{}), expired: make(chan struct{})}
}

func (e *pipeEvents) Notify() error {
	select {
	case e.out <- struct{}{}:
	default:
	}
	return nil
}

func (e *pipeEvents) Wait() error {
	e.mu.Lock()
	expired := e.expired
	e.mu.Unlock()
	select {
	case <-e.in:
		return nil
	case <-e.closed:
		return net.ErrClosed
	case <-expired:
		return os.ErrDeadlineExceeded
	}
}

func (e *pipeEvents) SetWaitDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil && !e.timer.Stop() {
		<-e.expired // the timer's function is running: let it finish
	}
	e.timer = nil
	select {
	case <-e.expired:
		e.expired = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return nil
	}
	if left := time.Until(t); left <= 0 {
		close(e.expired)
	} else {
		expired := e.expired
		e.timer = time.AfterFunc(left, func() { close(expired) })
	}
	return nil
}

func (e *pipeEvents) Close() error {
	_ = e.SetWaitDeadline(time.Time{})
	close(e.closed)
	return nil
}
