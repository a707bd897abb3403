package xendev

import (
	"fmt"
)

// Mapping is granted pages in our memory, one behind the other. Its methods
// are for one goroutine at a time.
type Mapping struct {
	dev     *device
	data    []byte
	index   uint64 // the offset that mmap was given
	notify  uint32 // request number
	release func(m *Mapping) error
}

// Bytes is the memory. It must not be touched after Unmap.
func (m *Mapping) Bytes() []byte { return m.data }

// Pages is the number of pages.
func (m *Mapping) Pages() int { return len(m.data) / PageSize }

// NotifyUnmap has the kernel set the byte at offset to zero and then send an
// event through a port of ours when the pages are unmapped, for whatever
// reason: this is how a peer learns of a crash. The port must be bound, and the
// kernel keeps it until then, unbound or not. The device must still be open.
// One page can have one such notification.
func (m *Mapping) NotifyUnmap(offset int, port uint32) error {
	op := fmt.Sprintf("ask for byte %d to be cleared and port %d told at the unmapping", offset, port)
	return m.ask(op, offset, notifyClearByte|notifySendEvent, port)
}

// ClearAtUnmap is NotifyUnmap without the event. The kernel then keeps no port,
// so that the unmapping concerns none: it may come at any time, also after the
// domain was restored.
func (m *Mapping) ClearAtUnmap(offset int) error {
	return m.ask(fmt.Sprintf("ask for byte %d to be cleared at the unmapping", offset), offset, notifyClearByte, 0)
}

func (m *Mapping) ask(op string, offset int, action, port uint32) error {
	if offset < 0 || offset >= len(m.data) {
		return fmt.Errorf("%s: the mapping has %d bytes", op, len(m.data))
	}
	return m.dev.call(op, m.notify, encodeNotify(m.index+uint64(offset), action, port))
}

// Detach takes the pages from the open device: from then on only the mapping
// keeps them, and what was asked for its end is done in the very moment of
// that, for a process that ends before any of its files is closed. No
// notification can be asked for afterwards.
func (m *Mapping) Detach() error {
	err := m.release(m)
	m.release = func(*Mapping) error { return nil }
	return err
}

// Unmap unmaps the pages and gives back what the kernel holds for them. It is
// called once.
func (m *Mapping) Unmap() error {
	if m.data == nil {
		return fmt.Errorf("unmap grants: %w", ErrClosed)
	}
	pages := m.Pages()
	data := m.data
	if err := bounded(func() error { return m.dev.sys.Munmap(data) }); err != nil {
		return m.dev.failed(err, fmt.Sprintf("unmap %d pages", pages))
	}
	err := m.release(m)
	m.data = nil
	return err
}
