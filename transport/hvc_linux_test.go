package transport

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

	"github.com/xentropyd/xentropyd/xenstore"
)

// pty is a pseudo-terminal: its slave stands for the guest's hvc device, its master for the host's end.
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
	_, err = io.ReadFull(p.master, make([]byte, len(text)+1)) // the echo of a terminal that is not raw yet, with its \r\n
	require.NoError(t, err)
}

// consoles gives a world a device directory.
func (w *xenWorld) consoles() (dev string) { return w.t.TempDir() }

// plug makes console n with a name.
func (w *xenWorld) plug(dev, n, name string, p *pty) {
	require.NoError(w.t, os.Symlink(p.slave, filepath.Join(dev, "hvc"+n)))
	w.store.Write("/local/domain/7/device/console/"+n+"/name", name, xenstore.Perm{DomID: guestID, Access: xenstore.AccessNone}, xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
}

// exchange sends every byte value both ways: raw means raw.
func exchangeAll(t *testing.T, guest Conn, host *os.File) {
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
	w := newXenWorld(t)
	p, other, dev := newPty(t), newPty(t), w.consoles()
	w.plug(dev, "1", "org.example.other", other)
	w.plug(dev, "3", ConsoleName, p)
	w.store.Write("/local/domain/7/device/console/0/name", ConsoleName)  // never the login console
	w.store.Write("/local/domain/7/device/console/12/name", ConsoleName) // Linux would not take it
	p.leave(t, "left over\n")
	c, err := dialConsole(w.ctx, "", w.domain, dev)
	require.NoError(t, err)
	exchangeAll(t, c, p.master)
	require.NoError(t, c.Close())
	w.gone()

	c, err = dialConsole(w.ctx, "org.example.other", w.domain, dev)
	require.NoError(t, err)
	exchangeAll(t, c, other.master)
	require.NoError(t, c.Close())
	w.gone()
}

func TestConsoleByPath(t *testing.T) {
	w := newXenWorld(t)
	p := newPty(t)
	w.domain.store = func(context.Context, ...xenstore.Option) (*xenstore.Client, error) { return nil, fs.ErrNotExist }
	c, err := dialConsole(w.ctx, p.slave, w.domain, "/nonexistent")
	require.NoError(t, err)
	exchangeAll(t, c, p.master)
	require.NoError(t, c.Close())

	_, err = dialConsole(w.ctx, "", w.domain, "/dev")
	assert.ErrorIs(t, err, fs.ErrNotExist, "by name there must be a xenstore")
	_, err = dialConsole(w.ctx, p.slave+"x", w.domain, "/dev")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = dialConsole(w.ctx, "/dev/null", w.domain, "/dev")
	assert.ErrorContains(t, err, "raw mode")
}

func TestConsoleDeadlinesAndClose(t *testing.T) {
	w := newXenWorld(t)
	p, dev := newPty(t), w.consoles()
	w.plug(dev, "1", ConsoleName, p)
	c, err := dialConsole(w.ctx, "", w.domain, dev)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Unix(1, 0)))
	_, err = c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	require.NoError(t, c.SetWriteDeadline(time.Unix(1, 0)))
	_, err = c.Write([]byte("x"))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)

	_, err = dialConsole(w.ctx, "", w.domain, dev)
	assert.ErrorIs(t, err, ErrBusy)

	var wg sync.WaitGroup
	wg.Go(func() { _, err = c.Read(make([]byte, 1)) })
	require.NoError(t, c.Close())
	wg.Wait()
	assert.ErrorIs(t, err, os.ErrClosed)
	assert.NoError(t, c.Close())
	w.gone()
}

// TestConsoleIsPluggedLater has a guest that looks for its console before there is one.
func TestConsoleIsPluggedLater(t *testing.T) {
	w := newXenWorld(t)
	p, dev := newPty(t), w.consoles()
	type dialled struct {
		c   Conn
		err error
	}
	ch := make(chan dialled, 1)
	go func() {
		c, err := dialConsole(w.ctx, "", w.domain, dev)
		ch <- dialled{c, err}
	}()
	require.Eventually(t, func() bool { return w.store.Watches(guestID) > 0 }, patience, time.Millisecond)
	w.plug(dev, "1", ConsoleName, p)
	d := <-ch
	require.NoError(t, d.err)
	exchangeAll(t, d.c, p.master)
	require.NoError(t, d.c.Close())
	w.gone()

	ctx, cancel := context.WithCancelCause(w.ctx)
	enough := errors.New("enough")
	cancel(enough)
	_, err := dialConsole(ctx, "no such name", w.domain, dev)
	assert.Error(t, err)
	w.gone()
}

func TestConsoleIsUnplugged(t *testing.T) {
	w := newXenWorld(t)
	p, dev := newPty(t), w.consoles()
	w.plug(dev, "1", ConsoleName, p)
	c, err := dialConsole(w.ctx, "", w.domain, dev)
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
		happens func(w *xenWorld)
		want    error
	}{
		"restored":  {func(w *xenWorld) { w.renumber("9") }, ErrRestored},
		"restarted": {func(w *xenWorld) { w.announce("b") }, ErrHostChanged},
	} {
		t.Run(name, func(t *testing.T) {
			w := newXenWorld(t)
			w.announce("a")
			p, dev := newPty(t), w.consoles()
			w.plug(dev, "1", ConsoleName, p)
			conn, err := dialConsole(w.ctx, "", w.domain, dev)
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
	w := newXenWorld(t)
	_, err := findConsole(w.ctx, w.hostStore, ConsoleName, "/dev") // domain 0 has none at all
	assert.ErrorIs(t, err, fs.ErrNotExist)
}
