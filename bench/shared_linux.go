package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// shared is a vchan between two processes that trust each other, with rings as
// large as the format allows: what the ring itself can do. The memfd and the
// two eventfds come from the parent.
type shared struct {
	all    []byte
	orders ring.Orders
	in     *os.File // non-blocking, in the runtime's poller
	out    *os.File
}

func (m *shared) Page() []byte  { return m.all[:ring.PageSize] }
func (m *shared) Left() []byte  { return m.all[ring.PageSize:][:m.orders.LeftPages()*ring.PageSize] }
func (m *shared) Right() []byte { return nil }
func (m *shared) Close() error  { return unix.Munmap(m.all) }

// sharedEvents are the eventfds of one end.
type sharedEvents struct{ *shared }

func (e sharedEvents) Notify() error {
	_, err := e.out.Write(one)
	return err
}

func (e sharedEvents) Wait() error {
	_, err := e.in.Read(make([]byte, 8))
	return err
}

func (e sharedEvents) SetWaitDeadline(t time.Time) error { return e.in.SetReadDeadline(t) }

func (e sharedEvents) Close() error { return errors.Join(e.in.Close(), e.out.Close()) }

// bulkOrders has one large ring, from client to server.
func bulkOrders(left uint16) ring.Orders { return ring.Orders{Left: left, Right: 11} }

func sharedSize(o ring.Orders) int { return (1 + o.Grants()) * ring.PageSize }

func openShared(role ring.Role, o ring.Orders, memory, in, out *os.File) (*vchan.Conn, error) {
	all, err := unix.Mmap(int(memory.Fd()), 0, sharedSize(o), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the ring: %w", err)
	}
	m := &shared{all, o, in, out}
	return vchan.New(vchan.Config{
		Role: role, Orders: o, Grants: make([]uint32, o.Grants()),
		Memory: m, Events: sharedEvents{m},
	})
}

// sharedTo returns the writing end of a ring of that order to a peer process
// that reads.
func sharedTo(s *setup, order uint16) (io.Writer, error) {
	o := bulkOrders(order)
	fd, err := unix.MemfdCreate("ring", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	memory := os.NewFile(uintptr(fd), "ring")
	defer memory.Close()
	if err := memory.Truncate(int64(sharedSize(o))); err != nil {
		return nil, err
	}
	var ends [2]*os.File
	for i := range ends {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return nil, err
		}
		ends[i] = os.NewFile(uintptr(fd), "events")
	}
	// The peer formats the page, and says so with an event.
	if err := s.spawn("ring sink", []string{fmt.Sprintf("%s=%d", orderEnv, order)}, memory,
		ends[1], ends[0]); err != nil {
		return nil, err
	}
	if _, err := ends[0].Read(make([]byte, 8)); err != nil {
		return nil, err
	}
	c, err := openShared(ring.Client, o, memory, ends[0], ends[1])
	if err == nil {
		s.defer_(func() { c.Close() })
	}
	return c, err
}

// sharedPeer is the reading end.
func sharedPeer() (io.ReadWriter, error) {
	var order uint16
	if _, err := fmt.Sscan(os.Getenv(orderEnv), &order); err != nil {
		return nil, err
	}
	out := os.NewFile(5, "out")
	c, err := openShared(ring.Server, bulkOrders(order), os.NewFile(3, "ring"), os.NewFile(4, "in"), out)
	if err == nil {
		_, err = out.Write(binary.NativeEndian.AppendUint64(nil, 1))
	}
	return c, err
}
