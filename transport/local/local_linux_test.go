package local

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/vchan"
)

func init() {
	children["guest-write"] = func() error {
		c, err := dialChild()
		if err != nil {
			return err
		}
		for {
			if _, err := c.Write([]byte("alive")); err != nil {
				return err
			}
		}
	}
	children["host-write"] = func() error {
		l, err := listenFilled(os.Getenv("SOCKET"), options{})
		if err != nil {
			return err
		}
		c, _, err := accept(l)
		if err != nil {
			return err
		}
		for {
			if _, err := c.Write([]byte("alive")); err != nil {
				return err
			}
		}
	}
	children["both-ways"] = func() error {
		c, err := dialChild()
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		b := make([]byte, 3000)
		total := envInt("TOTAL")
		wg.Go(func() { _, _ = io.CopyBuffer(struct{ io.Writer }{c}, io.LimitReader(pattern{}, int64(total)), b) })
		err = checkPattern(c, total)
		wg.Wait()
		_ = c.Close()
		return err
	}
}

// pattern gives the same bytes again and again.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	n := min(len(p), 251)
	for i := range n {
		p[i] = byte(i)
	}
	return n, nil
}

// checkPattern reads total bytes in random portions; each written portion
// counts up from 0, so only steps by one and returns to 0 are right.
func checkPattern(r io.Reader, total int) error {
	b := make([]byte, 5000)
	last := -1
	for total > 0 {
		n, err := r.Read(b[:1+rand.IntN(min(len(b), total))])
		if err != nil {
			return err
		}
		for _, v := range b[:n] {
			if v != 0 && int(v) != last+1 {
				return fmt.Errorf("%d after %d", v, last)
			}
			last = int(v)
		}
		total -= n
	}
	return nil
}

// options are those that a test has of its own.
type options transport.ListenOptions

// listenFilled is listen with the defaults for what options leaves out.
func listenFilled(path string, o options) (*listener, error) {
	d := transport.DefaultListenOptions()
	o.Mode, o.Rate = cmp.Or(o.Mode, d.Mode), cmp.Or(o.Rate, d.Rate)
	o.Burst, o.Held = cmp.Or(o.Burst, d.Burst), cmp.Or(o.Held, d.Held)
	return listen(path, transport.ListenOptions(o))
}

// accept gives what is behind the interface.
func accept(l *listener) (*vchan.Conn, transport.Peer, error) {
	c, p, err := l.Accept()
	if err != nil {
		return nil, p, err
	}
	return c.(*vchan.Conn), p, nil
}

// userOf is whose process a peer is.
func userOf(p transport.Peer) (uid uint32) {
	_, _ = fmt.Sscanf(p.ID, "local:%d/", &uid)
	return uid
}

func listenAt(t testing.TB, opts options) *listener {
	t.Helper()
	l, err := listenFilled(filepath.Join(t.TempDir(), "s"), opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// pair connects a guest and a host in this process.
func pair(t testing.TB) (guest, host *vchan.Conn) {
	t.Helper()
	l := listenAt(t, options{})
	type accepted struct {
		c   *vchan.Conn
		p   transport.Peer
		err error
	}
	came := make(chan accepted, 1)
	go func() { c, p, err := accept(l); came <- accepted{c, p, err} }()
	guest, err := Dial(context.Background(), l.path)
	require.NoError(t, err)
	a := <-came
	require.NoError(t, a.err)
	host, p := a.c, a.p
	require.Regexp(t, fmt.Sprintf(`^local:%d/%d@`, os.Getuid(), os.Getpid()), p.ID)
	require.NoError(t, l.Close()) // channels live on
	t.Cleanup(func() { _ = guest.Close(); _ = host.Close() })
	here := make(chan error, 1)
	go func() { here <- host.Wait(t.Context()) }()
	require.NoError(t, guest.Wait(t.Context())) // the host has formatted the page
	require.NoError(t, <-here)                  // the guest has joined it
	return guest, host
}

func TestExchange(t *testing.T) {
	leaktest.Check(t)
	guest, host := pair(t)
	var wg sync.WaitGroup
	const total = 200 << 10
	for _, d := range [][2]*vchan.Conn{{guest, host}, {host, guest}} {
		wg.Go(func() { _, _ = io.Copy(struct{ io.Writer }{d[0]}, io.LimitReader(pattern{}, total)) })
		wg.Go(func() {
			if err := checkPattern(d[1], total); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCloseFromEitherSide(t *testing.T) {
	leaktest.Check(t)
	for i := range 2 {
		guest, host := pair(t)
		from, to := guest, host
		if i == 1 {
			from, to = host, guest
		}
		_, err := from.Write([]byte("the last words"))
		require.NoError(t, err)
		require.NoError(t, from.Close())
		b, err := io.ReadAll(to)
		require.NoError(t, err)
		require.Equal(t, "the last words", string(b))
		_, err = to.Write(b)
		require.ErrorIs(t, err, vchan.ErrPeerGone)
	}
}

func TestDeadline(t *testing.T) {
	leaktest.Check(t)
	guest, host := pair(t)
	require.NoError(t, host.SetReadDeadline(time.Now().Add(5*time.Millisecond)))
	_, err := host.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	done := make(chan error)
	go func() { _, err := guest.Read(make([]byte, 1)); done <- err }()
	time.Sleep(3 * time.Millisecond)
	require.NoError(t, guest.SetDeadline(time.Unix(1, 0)))
	require.ErrorIs(t, <-done, os.ErrDeadlineExceeded)
}

func spawnGuest(t testing.TB, role string, l *listener, env ...string) *exec.Cmd {
	return spawn(t, role, append(env, "SOCKET="+l.path))
}

func TestTwoProcesses(t *testing.T) {
	leaktest.Check(t)
	const total = 1 << 20
	l := listenAt(t, options{})
	cmd := spawnGuest(t, "both-ways", l, "TOTAL="+strconv.Itoa(total))
	c, p, err := accept(l)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.Contains(t, p.ID, fmt.Sprintf("/%d@", cmd.Process.Pid))
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(struct{ io.Writer }{c}, io.LimitReader(pattern{}, total)) })
	require.NoError(t, checkPattern(c, total))
	wg.Wait()
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, cmd.Wait())
}

// A guest that is killed is seen to be gone, by a reader and by a writer.
func TestGuestKilled(t *testing.T) {
	leaktest.Check(t)
	for range 3 {
		l := listenAt(t, options{})
		cmd := spawnGuest(t, "guest-write", l)
		c, _, err := accept(l)
		require.NoError(t, err)
		b := make([]byte, 5)
		_, err = io.ReadFull(c, b)
		require.NoError(t, err)
		require.Equal(t, "alive", string(b))
		wrote := make(chan error)
		go func() {
			for {
				if _, err := c.Write(b); err != nil {
					wrote <- err
					return
				}
			}
		}()
		require.NoError(t, cmd.Process.Kill())
		_, err = io.Copy(io.Discard, c)
		require.NoError(t, err)
		require.ErrorIs(t, <-wrote, vchan.ErrPeerGone)
		require.NoError(t, c.Close())
		require.NoError(t, l.Close())
	}
}

func TestHostKilled(t *testing.T) {
	leaktest.Check(t)
	path := filepath.Join(t.TempDir(), "s")
	for range 2 { // the second host replaces the dead one's socket file
		cmd := spawn(t, "host-write", []string{"SOCKET=" + path})
		var c *vchan.Conn
		for {
			var err error
			if c, err = Dial(context.Background(), path); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		b := make([]byte, 5)
		_, err := io.ReadFull(c, b)
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Kill())
		rest, err := io.ReadAll(c)
		require.NoError(t, err)
		got := append(b, rest...) // the last word may be cut short
		require.True(t, bytes.HasPrefix(bytes.Repeat([]byte("alive"), len(got)/5+1), got))
		_, err = c.Write(make([]byte, 5000))
		require.ErrorIs(t, err, vchan.ErrPeerGone)
		require.NoError(t, c.Close())
		_ = cmd.Wait()
	}
}

// Many channels come and go; nothing stays.
func TestManyChannels(t *testing.T) {
	leaktest.Check(t)
	l := listenAt(t, options{Burst: 1000})
	var guests, hosts []*vchan.Conn
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		wg.Go(func() {
			for range 25 {
				c, err := Dial(context.Background(), l.path)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				guests = append(guests, c)
				mu.Unlock()
			}
		})
	}
	for range 200 {
		c, _, err := accept(l)
		require.NoError(t, err)
		hosts = append(hosts, c)
	}
	wg.Wait()
	require.Less(t, runtime.NumGoroutine(), 50, "no goroutine for each channel")
	for i := range hosts {
		require.NoError(t, hosts[i].Close())
	}
	for _, c := range guests {
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, c.Close())
	}
}
