package vchan

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

// unadmitted makes a Conn on memory that cannot be touched before admit has
// given nil, and the channels of its events.
func unadmitted(t *testing.T, admit func(m mapped) error) (c *Conn, in, out chan struct{}) {
	m := newMapped(t)
	m.takeAway(t)
	in, out = make(chan struct{}, 1), make(chan struct{}, 1)
	c, err := New(Config{
		Role: ring.Server, Orders: ring.Orders{Left: 10, Right: 11}, Memory: m, Events: newPipeEvents(in, out),
		Admit: func() error { return admit(m) }, Silent: true,
	})
	require.NoError(t, err)
	return c, in, out
}

func TestNothingIsTouchedBeforeAdmit(t *testing.T) {
	for name, op := range map[string]func(c *Conn) error{
		"read":  func(c *Conn) error { _, err := c.Read(make([]byte, 8)); return err },
		"write": func(c *Conn) error { _, err := c.Write(make([]byte, 8)); return err },
		"both ends of a ring": func(c *Conn) error {
			require.Zero(t, c.Buffered())
			require.Zero(t, c.Space())
			require.False(t, c.Connected())
			return os.ErrDeadlineExceeded
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, in, out := unadmitted(t, func(mapped) error { return ErrNotYet })
			in <- struct{}{} // and is asked again
			require.NoError(t, c.SetDeadline(time.Now().Add(time.Millisecond)))
			require.ErrorIs(t, op(c), os.ErrDeadlineExceeded)
			require.NoError(t, c.Close())
			require.Empty(t, out)
		})
	}
}

func TestAdmitIsAskedAtEachEvent(t *testing.T) {
	var asked atomic.Int32
	var page mapped
	c, in, out := unadmitted(t, func(m mapped) error {
		page = m
		if asked.Add(1) < 5 {
			return ErrNotYet
		}
		return unix.Mprotect(m.page, unix.PROT_READ|unix.PROT_WRITE)
	})
	written := make(chan error, 1)
	go func() { _, err := c.Write([]byte("x")); written <- err }()
	for done := false; !done; {
		select {
		case err := <-written:
			require.NoError(t, err)
			done = true
		case in <- struct{}{}:
		}
	}
	require.EqualValues(t, 5, asked.Load(), "and no more after that")
	require.Len(t, out, 1, "the peer was told that the page is there")
	orders, err := ring.ReadOrders(page.page)
	require.NoError(t, err)
	require.Equal(t, ring.Orders{Left: 10, Right: 11}, orders)
	_, err = c.Write([]byte("y"))
	require.NoError(t, err)
	require.EqualValues(t, 5, asked.Load())
	require.NoError(t, c.Close())
}

func TestRefusalOfAdmitEndsTheChannel(t *testing.T) {
	refused := errors.New("no seal")
	c, _, _ := unadmitted(t, func(mapped) error { return refused })
	_, err := c.Read(make([]byte, 8))
	require.ErrorIs(t, err, refused)
	_, err = c.Write(make([]byte, 8))
	require.ErrorIs(t, err, refused, "it stays so")
	require.Error(t, c.Close())
}
