package xenstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/leaktest"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

const (
	waitFor = 30 * time.Second
	tick    = time.Millisecond
)

func start(t *testing.T, opts ...xenstore.Option) (*xenstoretest.Server, *xenstore.Client) {
	t.Helper()
	s := xenstoretest.NewServer()
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	c, err := xenstore.Dial(t.Context(), s.Dialer(0), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return s, c
}

// on has a fault befall every request of a type.
func on(s *xenstoretest.Server, op string, f xenstoretest.Fault) {
	s.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		if r.Op == op {
			return f
		}
		return xenstoretest.Fault{}
	})
}

// whenAsked gives a context that ends once the server has got a request of that
// type, which then hangs.
func whenAsked(t *testing.T, s *xenstoretest.Server, op string, hold <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	s.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		if r.Op != op {
			return xenstoretest.Fault{}
		}
		cancel()
		return xenstoretest.Fault{Hold: hold}
	})
	return ctx
}

func TestAbandonedReplyIsDropped(t *testing.T) {
	s, c := start(t)
	s.Write("/a", "first")
	hold := make(chan struct{})
	_, err := c.Read(whenAsked(t, s, "READ", hold), "/a")
	require.ErrorIs(t, err, context.Canceled)
	s.SetFault(nil)
	s.Write("/a", "second")
	close(hold) // the late reply comes before or after the next one's
	for range 10 {
		v, err := c.Read(t.Context(), "/a")
		require.NoError(t, err)
		require.Equal(t, "second", v)
	}
}

func TestAbandonedTransactionIsEnded(t *testing.T) {
	s, c := start(t)
	hold := make(chan struct{})
	err := c.Transaction(whenAsked(t, s, "TRANSACTION_START", hold), func(*xenstore.Tx) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, s.Transactions(0))
	close(hold)
	require.Eventually(t, func() bool { return s.Transactions(0) == 0 }, waitFor, tick)
	require.NoError(t, c.Err())
}

func TestAbandonedWatchIsTakenBack(t *testing.T) {
	s, c := start(t)
	hold := make(chan struct{})
	_, err := c.Watch(whenAsked(t, s, "WATCH", hold), "/a")
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, s.Watches(0))
	close(hold)
	require.Eventually(t, func() bool { return s.Watches(0) == 0 }, waitFor, tick)
	require.NoError(t, c.Err())
}

func TestContextBeforeAnything(t *testing.T) {
	s, c := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Write(ctx, "/a", "v"), context.Canceled)
	require.NotContains(t, s.Dump(), "/a")
}

// TestMuteDaemon: a daemon that never answers costs a bounded number of
// requests, and contexts still hold.
func TestMuteDaemon(t *testing.T) {
	s, c := start(t)
	var asked atomic.Int32
	s.SetFault(func(xenstoretest.Request) xenstoretest.Fault {
		asked.Add(1)
		return xenstoretest.Fault{Mute: true}
	})
	var wg sync.WaitGroup
	for range 400 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := c.Read(ctx, "/a")
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
	wg.Wait()
	require.LessOrEqual(t, asked.Load(), int32(256))
}

func TestRepliesInAnyOrder(t *testing.T) {
	s, c := start(t)
	const n = 8
	holds := make(map[string]chan struct{})
	for i := range n {
		p := fmt.Sprintf("/n%d", i)
		s.Write(p, p)
		holds[p] = make(chan struct{})
	}
	var arrived sync.WaitGroup
	arrived.Add(n)
	s.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		arrived.Done()
		return xenstoretest.Fault{Hold: holds[r.Path]}
	})
	got := make(chan string)
	var wg sync.WaitGroup
	for p := range holds {
		wg.Go(func() {
			v, err := c.Read(t.Context(), p)
			if err != nil || v != p {
				v = fmt.Sprint(p, " gave ", v, err)
			}
			got <- v
		})
	}
	arrived.Wait()
	for i := n - 1; i >= 0; i-- {
		p := fmt.Sprintf("/n%d", i)
		close(holds[p])
		require.Equal(t, p, <-got)
	}
	wg.Wait()
}

func TestLostWithoutReconnect(t *testing.T) {
	s, c := start(t)
	w, err := c.Watch(t.Context(), "/a")
	require.NoError(t, err)
	on(s, "READ", xenstoretest.Fault{Drop: true})
	_, err = c.Read(t.Context(), "/a")
	require.ErrorIs(t, err, xenstore.ErrDisconnected)
	require.ErrorIs(t, err, io.EOF)
	require.ErrorIs(t, c.Err(), xenstore.ErrDisconnected)
	require.ErrorIs(t, c.Write(t.Context(), "/a", ""), xenstore.ErrDisconnected)
	for {
		if _, err = w.Wait(t.Context()); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, xenstore.ErrDisconnected)
	require.ErrorIs(t, w.Err(), xenstore.ErrDisconnected)
	_, err = c.Watch(t.Context(), "/b")
	require.ErrorIs(t, err, xenstore.ErrDisconnected)
}

func TestClose(t *testing.T) {
	leaktest.Check(t)
	s := xenstoretest.NewServer()
	defer s.Close()
	c, err := xenstore.Dial(t.Context(), s.Dialer(0))
	require.NoError(t, err)
	w, err := c.Watch(t.Context(), "/a")
	require.NoError(t, err)
	asked := make(chan struct{}, 1)
	s.SetFault(func(xenstoretest.Request) xenstoretest.Fault {
		asked <- struct{}{}
		return xenstoretest.Fault{Mute: true}
	})
	failed := make(chan error, 1)
	go func() {
		_, err := c.Read(t.Context(), "/a")
		failed <- err
	}()
	<-asked
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-failed, xenstore.ErrClosed)
	require.ErrorIs(t, w.Err(), xenstore.ErrClosed)
	_, err = c.Read(t.Context(), "/a")
	require.ErrorIs(t, err, xenstore.ErrClosed)
	require.ErrorIs(t, c.Err(), xenstore.ErrClosed)
	require.NoError(t, w.Close())
	require.NoError(t, c.Close())
}

func TestTransactionBound(t *testing.T) {
	s, c := start(t, xenstore.WithTransactionAttempts(3))
	on(s, "TRANSACTION_END", xenstoretest.Fault{Error: "EAGAIN"})
	runs := 0
	err := c.Transaction(t.Context(), func(*xenstore.Tx) error { runs++; return nil })
	require.ErrorIs(t, err, xenstore.ErrAgain)
	require.Equal(t, 3, runs)
	// Between two attempts the context counts too.
	ctx, cancel := context.WithCancel(t.Context())
	err = c.Transaction(ctx, func(*xenstore.Tx) error { cancel(); return xenstore.ErrAgain })
	require.ErrorIs(t, err, context.Canceled)
}

func TestTransactionEnds(t *testing.T) {
	s, c := start(t)
	require.Panics(t, func() {
		_ = c.Transaction(t.Context(), func(*xenstore.Tx) error { panic("in the middle") })
	})
	sorry := errors.New("sorry")
	require.ErrorIs(t, c.Transaction(t.Context(), func(*xenstore.Tx) error { return sorry }), sorry)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Transaction(ctx, func(tx *xenstore.Tx) error {
		defer cancel()
		return tx.Write(ctx, "/never", "")
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return s.Transactions(0) == 0 }, waitFor, tick)
	require.NotContains(t, s.Dump(), "/never")
}

// TestManyClients has 200 clients at once on one socket, each with a watch and
// a transaction.
func TestManyClients(t *testing.T) {
	leaktest.Check(t)
	s := xenstoretest.NewServer()
	defer s.Close()
	socket := filepath.Join(t.TempDir(), "socket")
	require.NoError(t, s.ListenUnix(socket, 0))
	s.Write("/n", "0")
	ctx, cancel := context.WithTimeout(t.Context(), waitFor)
	defer cancel()
	errs := make(chan error, 200)
	for i := range cap(errs) {
		go func() { errs <- oneOfMany(ctx, socket, i) }()
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.Eventually(t, func() bool { return s.Conns() == 0 }, waitFor, tick)
	require.Zero(t, s.Transactions(0))
	for i := range cap(errs) {
		require.Equal(t, "done", s.Dump()[fmt.Sprintf("/clients/%d/state", i)])
	}
}

func oneOfMany(ctx context.Context, socket string, i int) error {
	c, err := xenstore.Open(ctx, xenstore.WithAddress(socket))
	if err != nil {
		return err
	}
	defer c.Close()
	home := fmt.Sprintf("/clients/%d", i)
	// The directories above are everybody's: to make them in a transaction
	// would be a conflict with all.
	if err := c.Mkdir(ctx, home); err != nil {
		return err
	}
	w, err := c.Watch(ctx, home)
	if err != nil {
		return err
	}
	if _, err := w.Wait(ctx); err != nil {
		return err
	}
	err = c.Transaction(ctx, func(tx *xenstore.Tx) error {
		if err := tx.Write(ctx, home+"/ring-ref", "8"); err != nil {
			return err
		}
		return tx.Write(ctx, home+"/state", "done")
	})
	if err != nil {
		return err
	}
	_, err = w.Wait(ctx)
	return err
}

func TestOpenFindsTheSocket(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	socket := filepath.Join(t.TempDir(), "socket")
	t.Setenv("XENSTORED_PATH", socket)
	if _, err := xenstore.Open(t.Context()); err != nil {
		require.ErrorContains(t, err, socket)
		require.ErrorContains(t, err, xenstore.DevicePath)
	}
	require.NoError(t, s.ListenUnix(socket, 0))
	c, err := xenstore.Open(t.Context())
	require.NoError(t, err)
	id, err := c.OwnDomID(t.Context())
	require.NoError(t, err)
	require.Zero(t, id)
	require.NoError(t, c.Close())
}
