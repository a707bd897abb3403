package vchan

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

// mapped is memory that can be taken away.
type mapped struct{ page []byte }

func (m mapped) Page() []byte  { return m.page }
func (m mapped) Left() []byte  { return nil }
func (m mapped) Right() []byte { return nil }
func (m mapped) Close() error  { return unix.Munmap(m.page) }

func (m mapped) takeAway(t *testing.T) { require.NoError(t, unix.Mprotect(m.page, unix.PROT_NONE)) }

func newMapped(t *testing.T) mapped {
	page, err := unix.Mmap(-1, 0, ring.PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	return mapped{page}
}

func onMemory(t *testing.T, m Memory) (*Conn, chan struct{}) {
	in, out := make(chan struct{}, 1), make(chan struct{}, 1)
	c, err := New(Config{
		Role: ring.Server, Orders: ring.Orders{Left: 10, Right: 11}, Memory: m,
		Events: newPipeEvents(in, out),
	})
	require.NoError(t, err)
	return c, in
}

// A fault in the shared memory ends the one channel, whatever touches it first,
// and nothing else.
func TestFaultEndsTheChannel(t *testing.T) {
	for name, op := range map[string]func(c *Conn) error{
		"read":     func(c *Conn) error { _, err := c.Read(make([]byte, 8)); return err },
		"write":    func(c *Conn) error { _, err := c.Write(make([]byte, 8)); return err },
		"wait":     func(c *Conn) error { return c.Wait(t.Context()) },
		"buffered": func(c *Conn) error { c.Buffered(); _, err := c.Read(make([]byte, 8)); return err },
		"space":    func(c *Conn) error { c.Space(); _, err := c.Read(make([]byte, 8)); return err },
		"connected": func(c *Conn) error {
			require.False(t, c.Connected())
			_,
				err := c.Read(make([]byte, 8))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMapped(t)
			c, _ := onMemory(t, m)
			m.takeAway(t)
			require.ErrorIs(t, op(c), ErrFault)
			_, err := c.Write([]byte("x"))
			require.ErrorIs(t, err, ErrFault, "it stays closed, for the same reason")
			require.Error(t, c.Close(), "closed already, without a fault")
		})
	}
}

// The look after an event faults with the Conn's lock held.
func TestFaultAfterAnEvent(t *testing.T) {
	m := newMapped(t)
	c, in := onMemory(t, m)
	read := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 8)); read <- err }()
	require.Eventually(t, func() bool {
		c.wait.mu.Lock()
		defer c.wait.mu.Unlock()
		return c.wait.leading
	}, time.Minute, time.Millisecond)
	m.takeAway(t)
	in <- struct{}{}
	require.ErrorIs(t, <-read, ErrFault)
	require.Error(t, c.Close())
}

func TestFaultAtOpening(t *testing.T) {
	m := newMapped(t)
	m.takeAway(t)
	_, err := New(Config{
		Role: ring.Server, Orders: ring.Orders{Left: 10, Right: 11}, Memory: m,
		Events: newPipeEvents(nil, nil),
	})
	require.ErrorIs(t, err, ErrFault)
}

func TestCloseOfLostMemory(t *testing.T) {
	m := newMapped(t)
	c, _ := onMemory(t, m)
	m.takeAway(t)
	require.NoError(t, c.Close())
	_, err := c.Read(make([]byte, 1))
	require.NotErrorIs(t, err, io.EOF)
}

// A panic that is no fault is nobody's to swallow.
func TestOtherPanicsGoOn(t *testing.T) {
	require.PanicsWithValue(t, "mine", func() { _ = guarded(func() error { panic("mine") }) })
	require.Panics(t, func() { _ = guarded(func() error { var p *int; *p = 1; return nil }) },
		"a nil pointer has no address")
}
