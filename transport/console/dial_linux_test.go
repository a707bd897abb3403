package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// pty is a pseudo-terminal: its slave stands for the guest's hvc device, its
// master for the host's end.
type pty struct {
	master *os.File
	slave  string
}

func newPty(t *testing.T) *pty {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v; mount -t devpts devpts /dev/pts", err)
	}
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	p := &pty{os.NewFile(uintptr(fd), "ptmx"), fmt.Sprintf("/dev/pts/%d", n)}
	t.Cleanup(func() { p.master.Close() })
	return p
}

// leave writes what nobody reads, and waits until it is there to be read.
func (p *pty) leave(t *testing.T, text string) {
	fd, err := unix.Open(p.slave, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	_, err = p.master.WriteString(text)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err == nil && n >= len(text)
	}, patience, time.Millisecond)
	// the echo of a terminal that is not raw yet, with its \r\n
	_, err = io.ReadFull(p.master, make([]byte, len(text)+1))
	require.NoError(t, err)
}

// guestMachine is a guest whose consoles are pseudo-terminals.
type guestMachine struct {
	t     *testing.T
	ctx   context.Context
	store *xenstoretest.Server
	host  *xenstore.Client // as domain 0
	surroundings
}

func newGuestMachine(t *testing.T) *guestMachine {
	leaktest.Check(t)
	s := xenstoretest.NewServer()
	s.AddDomain(guestID, "guest")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w := &guestMachine{t: t, ctx: ctx, store: s}
	var err error
	w.host, err = xenstore.Dial(ctx, s.Dialer(0))
	require.NoError(t, err)
	w.surroundings = surroundings{
		open: func(ctx context.Context, opts ...xenstore.Option) (*xenstore.Client, error) {
			return xenstore.Dial(ctx, s.Dialer(guestID), opts...)
		},
		dev:    t.TempDir(),
		timing: domain.Timing{Poll: time.Hour, Answer: 5 * time.Second, Again: time.Millisecond},
	}
	t.Cleanup(func() {
		cancel()
		_ = w.host.Close()
		_ = s.Close()
	})
	return w
}

func (w *guestMachine) announce(instance string) {
	w.store.Write("/local/domain/7/data/entropy/instance", instance,
		xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
}

func (w *guestMachine) renumber(to string) {
	w.store.Write("/local/domain/7/domid", to, xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
}

// gone checks that the guest has left nothing in xenstore.
func (w *guestMachine) gone() {
	w.t.Helper()
	assert.Eventually(w.t, func() bool { // the server learns of a close by and by
		return w.store.Watches(guestID) == 0 && w.store.Transactions(guestID) == 0 && w.store.Conns() == 1
	}, patience, time.Millisecond, "connections, watches or transactions were left")
}

func (w *guestMachine) dial(ctx context.Context, path string) (transport.Conn, error) {
	return dial(ctx, path, w.surroundings)
}

// plug makes console n with a name.
func (w *guestMachine) plug(n, name string, p *pty) {
	require.NoError(w.t, os.Symlink(p.slave, filepath.Join(w.dev, "hvc"+n)))
	w.store.Write("/local/domain/7/device/console/"+n+"/name", name,
		xenstore.Perm{DomID: guestID, Access: xenstore.AccessNone},
		xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
}

// exchange sends every byte value both ways: raw means raw.
func exchangeAll(t *testing.T, guest transport.Conn, host *os.File) {
	t.Helper()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	require.NoError(t, guest.SetReadDeadline(time.Now().Add(patience)))
	require.NoError(t, host.SetReadDeadline(time.Now().Add(patience)))
	for _, d := range []struct {
		r io.Reader
		w io.Writer
	}{{guest, host}, {host, guest}} {
		_, err := d.w.Write(all)
		require.NoError(t, err)
		got := make([]byte, len(all))
		_, err = io.ReadFull(d.r, got)
		require.NoError(t, err)
		assert.Equal(t, all, got)
	}
	require.NoError(t, guest.SetReadDeadline(time.Time{}))
}

func TestConsoleByName(t *testing.T) {
	w := newGuestMachine(t)
	p, other := newPty(t), newPty(t)
	w.plug("1", "org.example.other", other)
	w.plug("3", Name, p)
	w.store.Write("/local/domain/7/device/console/0/name", Name)  // never the login console
	w.store.Write("/local/domain/7/device/console/12/name", Name) // Linux would not take it
	p.leave(t, "left over\n")
	c, err := w.dial(w.ctx, "")
	require.NoError(t, err)
	exchangeAll(t, c, p.master)
	require.NoError(t, c.Close())
	w.gone()

	c, err = w.dial(w.ctx, "org.example.other")
	require.NoError(t, err)
	exchangeAll(t, c, other.master)
	require.NoError(t, c.Close())
	w.gone()
}

func TestConsoleByPath(t *testing.T) {
	w := newGuestMachine(t)
	p := newPty(t)
	w.open = func(context.Context, ...xenstore.Option) (*xenstore.Client, error) { return nil, fs.ErrNotExist }
	c, err := w.dial(w.ctx, p.slave)
	require.NoError(t, err)
	exchangeAll(t, c, p.master)
	require.NoError(t, c.Close())

	_, err = w.dial(w.ctx, "")
	assert.ErrorIs(t, err, fs.ErrNotExist, "by name there must be a xenstore")
	_, err = w.dial(w.ctx, p.slave+"x")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = w.dial(w.ctx, "/dev/null")
	assert.ErrorContains(t, err, "raw mode")
}

func TestConsoleDeadlinesAndClose(t *testing.T) {
	w := newGuestMachine(t)
	p := newPty(t)
	w.plug("1", Name, p)
	c, err := w.dial(w.ctx, "")
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Unix(1, 0)))
	_, err = c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	require.NoError(t, c.SetWriteDeadline(time.Unix(1, 0)))
	_, err = c.Write([]byte("x"))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)

	_, err = w.dial(w.ctx, "")
	assert.ErrorIs(t, err, transport.ErrBusy)

	var wg sync.WaitGroup
	wg.Go(func() { _, err = c.Read(make([]byte, 1)) })
	require.NoError(t, c.Close())
	wg.Wait()
	assert.ErrorIs(t, err, os.ErrClosed)
	assert.NoError(t, c.Close())
	w.gone()
}

// TestConsoleIsPluggedLater has a guest that looks for its console before there
// is one.
func TestConsoleIsPluggedLater(t *testing.T) {
	w := newGuestMachine(t)
	p := newPty(t)
	type dialled struct {
		c   transport.Conn
		err error
	}
	ch := make(chan dialled, 1)
	go func() {
		c, err := w.dial(w.ctx, "")
		ch <- dialled{c, err}
	}()
	require.Eventually(t, func() bool { return w.store.Watches(guestID) > 0 }, patience, time.Millisecond)
	w.plug("1", Name, p)
	d := <-ch
	require.NoError(t, d.err)
	exchangeAll(t, d.c, p.master)
	require.NoError(t, d.c.Close())
	w.gone()

	ctx, cancel := context.WithCancelCause(w.ctx)
	enough := errors.New("enough")
	cancel(enough)
	_, err := w.dial(ctx, "no such name")
	assert.Error(t, err)
	w.gone()
}

func TestConsoleIsUnplugged(t *testing.T) {
	w := newGuestMachine(t)
	p := newPty(t)
	w.plug("1", Name, p)
	c, err := w.dial(w.ctx, "")
	require.NoError(t, err)
	require.NoError(t, p.master.Close())
	_, err = c.Read(make([]byte, 1))
	assert.Error(t, err)
	assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.Close())
	w.gone()
}

// TestConsoleIsOver has nothing on the console itself that says so.
func TestConsoleIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(w *guestMachine)
		want    error
	}{
		"restored":  {func(w *guestMachine) { w.renumber("9") }, transport.ErrRestored},
		"restarted": {func(w *guestMachine) { w.announce("b") }, transport.ErrHostChanged},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGuestMachine(t)
			w.announce("a")
			p := newPty(t)
			w.plug("1", Name, p)
			conn, err := w.dial(w.ctx, "")
			require.NoError(t, err)
			w.announce("a")
			exchangeAll(t, conn, p.master)
			c.happens(w)
			_, err = conn.Read(make([]byte, 1))
			assert.ErrorIs(t, err, c.want)
			require.NoError(t, conn.SetReadDeadline(time.Time{}))
			_, err = conn.Read(make([]byte, 1))
			assert.ErrorIs(t, err, c.want, "no deadline brings it back")
			require.NoError(t, conn.SetWriteDeadline(time.Time{}))
			_, err = conn.Write([]byte("x"))
			assert.ErrorIs(t, err, c.want)
			require.NoError(t, conn.Close())
			w.gone()
		})
	}
}

func TestFindConsole(t *testing.T) {
	w := newGuestMachine(t)
	_, err := findConsole(w.ctx, w.host, Name, "/dev") // domain 0 has none at all
	assert.ErrorIs(t, err, fs.ErrNotExist)
}
