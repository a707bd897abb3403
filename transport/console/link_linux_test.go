package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/protocol"
)

var past = time.Unix(1, 0)

// hostile reports whether an error blames the guest, as the host's sessions
// ask.
func hostile(err error) bool {
	var h interface{ Hostile() bool }
	return errors.As(err, &h) && h.Hostile()
}

// Both directions move more than the rings hold, in portions of any size.
func TestExchange(t *testing.T) {
	w := newFixture(t)
	_, l, f := w.link()
	c := l.Open()
	const total = 100 << 10
	data := make([]byte, total)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	for _, way := range []struct {
		from io.Writer
		to   io.Reader
	}{{c, f}, {f, c}} {
		sent := make(chan error, 1)
		go func() {
			rnd := rand.New(rand.NewPCG(1, 2))
			for at := 0; at < total; {
				n, err := way.from.Write(data[at:min(at+1+rnd.IntN(5000), total)])
				if err != nil {
					sent <- err
					return
				}
				at += n
			}
			sent <- nil
		}()
		h := sha256.New()
		_, err := io.CopyBuffer(h, io.LimitReader(struct{ io.Reader }{way.to}, total), make([]byte, 777))
		require.NoError(t, err)
		require.NoError(t, <-sent)
		want := sha256.Sum256(data)
		require.Equal(t, want[:], h.Sum(nil))
	}
	require.NoError(t, l.Close())
	require.NoError(t, f.Close())
	w.empty()
}

// Protocol 1 over a console, the guest's side as a Go program has it.
func TestProtocol1(t *testing.T) {
	w := newFixture(t)
	_, l, f := w.link()
	defer func() { require.NoError(t, l.Close()); require.NoError(t, f.Close()); w.empty() }()
	done := make(chan error, 1)
	go func() {
		if err := l.Wait(w.ctx); err != nil {
			done <- err
			return
		}
		c, m, buf := l.Open(), protocol.NewV1RequestMatcher(), make([]byte, 10)
		for found := false; !found; {
			n, err := c.Read(buf)
			if err != nil {
				done <- err
				return
			}
			if _, found, err = m.Feed(buf[:n]); err != nil {
				done <- err
				return
			}
		}
		_, err := io.WriteString(c, protocol.V1Answer+"0123456789")
		done <- err
	}()
	r, err := protocol.V1Handshake(f)
	require.NoError(t, err)
	p := make([]byte, 10)
	_, err = io.ReadFull(r, p)
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(p))
	require.NoError(t, <-done)
}

func TestDeadlines(t *testing.T) {
	w := newFixture(t)
	_, l, f := w.link()
	defer func() { require.NoError(t, l.Close()); require.NoError(t, f.Close()); w.empty() }()
	c := l.Open()
	one := make([]byte, 1)
	read := make(chan error)
	block := func() {
		go func() { _, err := c.Read(one); read <- err }()
	}
	// Whether the deadline comes before or while Read waits, it ends it.
	for _, at := range []time.Time{past, time.Now().Add(5 * time.Millisecond), time.Now().Add(time.Microsecond)} {
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		block()
		require.NoError(t, c.SetReadDeadline(at))
		require.ErrorIs(t, <-read, os.ErrDeadlineExceeded)
	}
	// A kick, as the host does it: past and back. The next Read waits again.
	require.NoError(t, c.SetReadDeadline(past))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	block()
	_, err := f.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, <-read)
	require.Equal(t, "x", string(one))
	// A passed deadline counts even when there is something to read.
	_, err = f.Write([]byte("y"))
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(past))
	_, err = c.Read(one)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	// Write: the guest takes nothing.
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(5*time.Millisecond)))
	n, err := c.Write(make([]byte, 2000))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, 1024, n)
	require.False(t, hostile(err))
}

func TestCloseUnblocks(t *testing.T) {
	w := newFixture(t)
	_, l, f := w.link()
	for _, what := range []string{"connection", "link"} {
		c := l.Open()
		errs := make(chan error, 2)
		go func() { _, err := c.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := c.Write(make([]byte, 5000)); errs <- err }()
		if what == "link" {
			require.NoError(t, l.Close())
		} else {
			require.NoError(t, c.Close())
			require.ErrorIs(t, c.Close(), net.ErrClosed)
			require.ErrorIs(t, c.SetReadDeadline(past), net.ErrClosed)
			<-c.Done()
		}
		require.ErrorIs(t, <-errs, net.ErrClosed)
		require.ErrorIs(t, <-errs, net.ErrClosed)
	}
	require.ErrorIs(t, l.Wait(w.ctx), net.ErrClosed)
	require.ErrorIs(t, l.Err(), net.ErrClosed)
	<-l.Dead()
	require.NoError(t, f.Close())
	w.empty()
}

// A connection that ends leaves the link; what the guest writes afterwards is
// the next one's.
func TestConnectionsFollowEachOther(t *testing.T) {
	w := newFixture(t)
	_, l, f := w.link()
	defer func() { require.NoError(t, l.Close()); require.NoError(t, f.Close()); w.empty() }()
	p := make([]byte, 10)
	for _, word := range []string{"first", "second"} {
		_, err := f.Write([]byte(word))
		require.NoError(t, err)
		require.NoError(t, l.Wait(w.ctx))
		c := l.Open()
		n, err := c.Read(p)
		require.NoError(t, err)
		require.Equal(t, word, string(p[:n]))
		_, err = c.Write([]byte(word))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		short, cancel := context.WithTimeout(w.ctx, 5*time.Millisecond)
		require.ErrorIs(t, l.Drained(short), context.DeadlineExceeded)
		cancel()
		n, err = f.Read(p)
		require.NoError(t, err)
		require.Equal(t, word, string(p[:n]))
		require.NoError(t, l.Drained(w.ctx))
	}
}

// Whatever a guest scribbles over the indices ends its own link, and is blamed
// on it.
func TestHostileIndices(t *testing.T) {
	for index := range 4 {
		w := newFixture(t)
		_, l, f := w.link()
		c := l.Open()
		f.Index(index).Store(100_000)
		f.Notify()
		if index == 1 || index == 2 { // ours: not believed, and nothing happens
			_, err := c.Write([]byte("x"))
			require.NoError(t, err)
		} else {
			_, err := c.Write([]byte("x"))
			if index == 3 {
				_, err = c.Read(make([]byte, 1))
			}
			require.True(t, hostile(err), "%v", err)
			require.True(t, hostile(l.Err()))
			require.True(t, hostile(l.Wait(w.ctx)))
			<-l.Dead()
		}
		require.NoError(t, l.Close())
		require.NoError(t, f.Close())
		w.empty()
	}
}

// A flood of events while somebody waits ends the link; while nobody does it
// costs nothing and does not.
func TestFlood(t *testing.T) {
	w := newFixture(t)
	_, l, f := w.link()
	for range 10 * floodLimit {
		w.guest.Flood()
	}
	require.NoError(t, l.Err())
	c := l.Open()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for !isClosed(l.Dead()) {
			w.guest.Flood()
		}
	}()
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, ErrFlood)
	require.True(t, hostile(err))
	<-stop
	require.NoError(t, l.Close())
	require.NoError(t, f.Close())
	w.empty()
}

// As many events, each with a byte moved, are no flood.
func TestBusyIsNoFlood(t *testing.T) {
	w := newFixture(t)
	_, l, f := w.link()
	c := l.Open()
	p := make([]byte, 1)
	for range 2 * floodLimit {
		_, err := f.Write([]byte{1})
		require.NoError(t, err)
		_, err = c.Read(p)
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())
	require.NoError(t, f.Close())
	w.empty()
}

// A domain that is destroyed stays a zombie until the link is closed, and not
// longer.
func TestDestroyedGuest(t *testing.T) {
	w := newFixture(t)
	_, l, f := w.link()
	c := l.Open()
	w.guest.Destroy()
	_, err := c.Write([]byte("into the void"))
	require.NoError(t, err)
	require.True(t, w.guest.Zombie())
	require.NoError(t, l.Close())
	require.False(t, w.guest.Zombie())
	require.Zero(t, w.host.Counts())
	_ = f.Close() // the test's own memory; the domain is not there to object
}

// Many links leave nothing, whoever closes first.
func TestManyLinks(t *testing.T) {
	w := newFixture(t)
	for i := range 50 {
		d, l, f := w.link()
		if i%2 == 0 {
			require.NoError(t, f.Close())
		}
		require.NoError(t, l.Close())
		if i%2 != 0 {
			require.NoError(t, f.Close())
		}
		short, cancel := context.WithTimeout(w.ctx, time.Nanosecond)
		require.NoError(t, d.Unplug(short))
		cancel()
	}
	w.empty()
	require.Empty(t, w.below("/local/domain/0/backend/entropy"))
}
