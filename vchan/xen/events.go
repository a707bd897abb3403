package xen

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/xentropyd/xentropyd/internal/xendev"
)

// events are one event channel, alone on its open /dev/xen/evtchn.
type events struct {
	dev    *xendev.Evtchn
	port   uint32
	closed func() // called by Close when the port is gone, may be nil
}

// Notify sends an event to the peer. Where the peer is gone it is lost.
func (e *events) Notify() error { return e.translate(e.dev.Notify(e.port)) }

// Wait takes an event. Unmask follows before the caller looks at the ring. What
// came while the port was masked is seen by that look: its event may never come,
// as Xen does not deliver a pending event of a port whose other end has closed
// meanwhile (evtchn_usable in Xen's event.h).
func (e *events) Wait() error {
	port, err := e.dev.Pending()
	if err != nil {
		return e.translate(err)
	}
	if port != e.port {
		return fmt.Errorf("the kernel gave an event of port %d, bound is %d alone", port, e.port)
	}
	return nil
}

// Unmask lets the peer's next event come.
func (e *events) Unmask() error { return e.translate(e.dev.Unmask(e.port)) }

// SetWaitDeadline sets Wait's deadline.
func (e *events) SetWaitDeadline(t time.Time) error {
	return e.translate(e.dev.SetDeadline(t))
}

// Close unbinds the port. Where an unmapping is to tell the peer, the kernel
// keeps it open until then.
func (e *events) Close() error {
	err := e.dev.Close()
	if e.closed != nil {
		e.closed()
	}
	return err
}

func (e *events) translate(err error) error {
	if errors.Is(err, xendev.ErrClosed) {
		return net.ErrClosed
	}
	return err
}
