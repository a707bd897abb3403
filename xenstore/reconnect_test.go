package xenstore_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/leaktest"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

var errDown = errors.New("daemon is down")

// daemon is a server that can be down.
type daemon struct {
	*xenstoretest.Server
	mu    sync.Mutex
	down  bool
	dials int
}

func (d *daemon) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dials++
	if d.down {
		return nil, errDown
	}
	return d.Dialer(0)(ctx)
}

func (d *daemon) set(down bool) {
	d.mu.Lock()
	d.down = down
	d.mu.Unlock()
	if down {
		d.DropAll()
	}
}

// reconnecting runs a test with a clock of its own, on a client that
// reconnects.
func reconnecting(t *testing.T, p xenstore.ReconnectPolicy, f func(t *testing.T, d *daemon, c *xenstore.Client)) {
	synctest.Test(t, func(t *testing.T) {
		d := &daemon{Server: xenstoretest.NewServer()}
		c, err := xenstore.Dial(t.Context(), d.dial, xenstore.WithReconnect(p))
		require.NoError(t, err)
		defer d.Close()
		defer c.Close()
		f(t, d, c)
	})
}

func wantEvent(t *testing.T, w *xenstore.Watch, path string) {
	t.Helper()
	for {
		got, err := w.Wait(t.Context())
		require.NoError(t, err)
		if slices.Contains(got, path) {
			return
		}
	}
}

func TestReconnectWatches(t *testing.T) {
	reconnecting(t, xenstore.ReconnectPolicy{}, func(t *testing.T, d *daemon, c *xenstore.Client) {
		w, err := c.Watch(t.Context(), "/a")
		require.NoError(t, err)
		wantEvent(t, w, "/a")
		closed, err := c.Watch(t.Context(), "/b")
		require.NoError(t, err)
		d.set(true)
		synctest.Wait()
		require.NoError(t, closed.Close())
		d.Write("/a", "while nobody looked")
		d.set(false)
		wantEvent(t, w, "/a") // although nothing tells the new connection of the change
		v, err := c.Read(t.Context(), "/a")
		require.NoError(t, err)
		require.Equal(t, "while nobody looked", v)
		w.Take()
		d.Write("/a/below", "")
		wantEvent(t, w, "/a/below")
		synctest.Wait()
		require.Equal(t, 1, d.Watches(0), "a closed watch is not set again")
		require.NoError(t, c.Err())
	})
}

// TestReconnectFails: what was under way fails, what comes while there is no
// connection waits.
func TestReconnectFails(t *testing.T) {
	var mu sync.Mutex
	var notes []error
	p := xenstore.ReconnectPolicy{Delay: time.Second, Notify: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		notes = append(notes, err)
	}}
	reconnecting(t, p, func(t *testing.T, d *daemon, c *xenstore.Client) {
		on(d.Server, "READ", xenstoretest.Fault{Mute: true})
		inFlight := make(chan error, 1)
		go func() {
			_, err := c.Read(t.Context(), "/a")
			inFlight <- err
		}()
		synctest.Wait()
		err := c.Transaction(t.Context(), func(tx *xenstore.Tx) error {
			d.set(true)
			return tx.Write(t.Context(), "/never", "")
		})
		require.ErrorIs(t, err, xenstore.ErrDisconnected)
		require.ErrorIs(t, <-inFlight, xenstore.ErrDisconnected)
		d.SetFault(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, c.Write(ctx, "/b", ""), context.DeadlineExceeded)
		waits := make(chan error, 1)
		go func() { waits <- c.Write(t.Context(), "/c", "") }()
		synctest.Wait()
		d.set(false)
		require.NoError(t, <-waits)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.ErrorIs(t, notes[0], xenstore.ErrDisconnected)
		require.ErrorIs(t, notes[1], errDown)
		require.NoError(t, notes[len(notes)-1])
		// One hour with a delay that doubles from 1 s to 10 s, jittered: some
		// 360 attempts.
		require.InDelta(t, 360, len(notes), 120)
		require.NotContains(t, d.Dump(), "/never")
	})
}

func TestReconnectGivesUp(t *testing.T) {
	reconnecting(t, xenstore.ReconnectPolicy{Attempts: 3}, func(t *testing.T, d *daemon, c *xenstore.Client) {
		w, err := c.Watch(t.Context(), "/a")
		require.NoError(t, err)
		wantEvent(t, w, "/a")
		d.set(true)
		_, err = w.Wait(t.Context())
		require.ErrorIs(t, err, xenstore.ErrDisconnected)
		require.ErrorIs(t, c.Err(), xenstore.ErrDisconnected)
		require.ErrorIs(t, c.Err(), errDown)
		require.ErrorIs(t, c.Write(t.Context(), "/a", ""), xenstore.ErrDisconnected)
		require.Equal(t, 4, d.dials)
	})
}

// TestReconnectRefused: a watch that the daemon does not take again ends with
// its error, the others go on.
func TestReconnectRefused(t *testing.T) {
	reconnecting(t, xenstore.ReconnectPolicy{}, func(t *testing.T, d *daemon, c *xenstore.Client) {
		bad, err := c.Watch(t.Context(), "/bad")
		require.NoError(t, err)
		wantEvent(t, bad, "/bad")
		good, err := c.Watch(t.Context(), "/good")
		require.NoError(t, err)
		wantEvent(t, good, "/good")
		d.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
			if r.Op == "WATCH" && r.Path == "/bad" {
				return xenstoretest.Fault{Error: "EACCES"}
			}
			return xenstoretest.Fault{}
		})
		d.DropAll()
		_, err = bad.Wait(t.Context())
		require.ErrorIs(t, err, xenstore.ErrPermission)
		wantEvent(t, good, "/good")
	})
}

// TestReconnectBreaksAgain: a connection that fails while the watches are set
// again is replaced too.
func TestReconnectBreaksAgain(t *testing.T) {
	reconnecting(t, xenstore.ReconnectPolicy{Timeout: time.Second}, func(t *testing.T, d *daemon, c *xenstore.Client) {
		w, err := c.Watch(t.Context(), "/a")
		require.NoError(t, err)
		wantEvent(t, w, "/a")
		n := 0
		faults := []xenstoretest.Fault{{Drop: true}, {Mute: true}, {Raw: []byte("sixteen or more bytes of junk")}, {}}
		d.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
			if r.Op != "WATCH" {
				return xenstoretest.Fault{}
			}
			n++
			return faults[min(n-1, 3)]
		})
		d.DropAll()
		synctest.Wait()
		_, err = c.Read(t.Context(), "/tool") // waits for a good connection
		require.NoError(t, err)
		wantEvent(t, w, "/a")
		require.Equal(t, 4, n)
		require.Equal(t, 1, d.Watches(0))
	})
}

// TestReconnectWatchClosedMeanwhile: a watch closed while it is set again does
// not stay in the daemon.
func TestReconnectWatchClosedMeanwhile(t *testing.T) {
	reconnecting(t, xenstore.ReconnectPolicy{}, func(t *testing.T, d *daemon, c *xenstore.Client) {
		w, err := c.Watch(t.Context(), "/a")
		require.NoError(t, err)
		hold := make(chan struct{})
		on(d.Server, "WATCH", xenstoretest.Fault{Hold: hold})
		d.DropAll()
		time.Sleep(time.Second)
		require.Equal(t, 1, d.Watches(0))
		require.NoError(t, w.Close())
		close(hold)
		_, err = c.Read(t.Context(), "/tool")
		require.NoError(t, err)
		require.Zero(t, d.Watches(0))
	})
}

func TestCloseWhileReconnecting(t *testing.T) {
	reconnecting(t, xenstore.ReconnectPolicy{}, func(t *testing.T, d *daemon, c *xenstore.Client) {
		d.set(true)
		synctest.Wait()
		failed := make(chan error, 1)
		go func() { failed <- c.Write(t.Context(), "/a", "") }()
		synctest.Wait()
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-failed, xenstore.ErrClosed)
	})
}

// TestReconnectStress drops connections under load, 50 times or for as long as
// XENTROPYD_SOAK says: every call ends, nothing is left.
func TestReconnectStress(t *testing.T) {
	leaktest.Check(t)
	d := &daemon{Server: xenstoretest.NewServer()}
	defer d.Close()
	c, err := xenstore.Dial(t.Context(), d.dial,
		xenstore.WithReconnect(xenstore.ReconnectPolicy{Delay: time.Millisecond, MaxDelay: 2 * time.Millisecond}))
	require.NoError(t, err)
	defer c.Close()
	soak, _ := time.ParseDuration(os.Getenv("XENTROPYD_SOAK"))
	ctx, cancel := context.WithTimeout(t.Context(), soak+waitFor)
	defer cancel()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w, err := c.Watch(ctx, "/w")
				if err != nil {
					assert.ErrorIs(t, err, xenstore.ErrDisconnected)
					continue
				}
				if err := c.Write(ctx, "/w/x", ""); err != nil {
					assert.ErrorIs(t, err, xenstore.ErrDisconnected)
				}
				if _, err = w.Wait(ctx); !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, w.Close())
				err = c.Transaction(ctx, func(tx *xenstore.Tx) error { return tx.Write(ctx, "/t", "") })
				if err != nil && !errors.Is(err, xenstore.ErrAgain) {
					assert.ErrorIs(t, err, xenstore.ErrDisconnected)
				}
			}
		})
	}
	for n, end := 0, time.Now().Add(soak); n < 50 || time.Now().Before(end); n++ {
		d.DropAll()
		_, err := c.Directory(ctx, "/")
		for errors.Is(err, xenstore.ErrDisconnected) {
			_, err = c.Directory(ctx, "/")
		}
		require.NoError(t, err)
	}
	close(stop)
	wg.Wait()
	// One more request makes sure that what was posted before it is done.
	_, err = c.Directory(ctx, "/")
	require.NoError(t, err)
	require.Zero(t, d.Watches(0))
	require.Zero(t, d.Transactions(0))
}
