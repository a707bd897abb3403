package vchan

import (
	"net"
	"os"
	"time"

	"github.com/xentropyd/xentropyd/internal/deadline"
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
	late    *deadline.Deadline
}

func newPipeEvents(in, out chan struct{}) *pipeEvents {
	return &pipeEvents{in: in, out: out, closed: make(chan struct{}), late: deadline.New()}
}

func (e *pipeEvents) Notify() error {
	select {
	case e.out <- struct{}{}:
	default:
	}
	return nil
}

func (e *pipeEvents) Wait() error {
	select {
	case <-e.in:
		return nil
	case <-e.closed:
		return net.ErrClosed
	case <-e.late.Passed():
		return os.ErrDeadlineExceeded
	}
}

func (e *pipeEvents) SetWaitDeadline(t time.Time) error {
	e.late.Set(t)
	return nil
}

func (e *pipeEvents) Close() error {
	e.late.Set(time.Time{})
	close(e.closed)
	return nil
}
