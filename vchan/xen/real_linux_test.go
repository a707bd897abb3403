package xen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
	"github.com/xentropyd/xentropyd/xenstore"
)

// These tests run in a Xen domain. Without more, both ends are in one domain.
// With
//
//	XENTROPYD_VCHAN_ROLE  server or client
//	XENTROPYD_VCHAN_PEER  the other domain's domid
//	XENTROPYD_VCHAN_PATH  the path of the offers, the same for both, without a slash at its end
//
// the same test is started in two domains with one role each. Each offer has a
// path of its own, PATH-1, PATH-2 and so on. XENTROPYD_VCHAN_CONNECTS is how
// often TestRealConnects connects (default 1000), XENTROPYD_VCHAN_BYTES what
// each TestRealExchange moves (1 MiB).

// real is what a test has of a real domain.
type real struct {
	t      *testing.T
	store  *xenstore.Client
	role   string // "", server, client
	own    uint16
	peer   uint16
	path   string
	offers int
	ctx    context.Context
}

func realDomain(t *testing.T) *real {
	t.Helper()
	for _, dev := range []string{xendev.EvtchnPath, xendev.GntdevPath, xendev.GntallocPath} {
		if _, err := os.Stat(dev); err != nil {
			t.Skipf("%v: run in a Xen domain, after modprobe -a xen-evtchn xen-gntdev xen-gntalloc (the lab does)", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	store, err := xenstore.Open(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	r := &real{
		t: t, store: store, role: os.Getenv("XENTROPYD_VCHAN_ROLE"),
		path: os.Getenv("XENTROPYD_VCHAN_PATH"), ctx: ctx,
	}
	r.own, err = store.OwnDomID(ctx)
	require.NoError(t, err)
	if r.role == "" {
		r.peer = r.own
		r.path, err = Path(r.own, r.own, "test")
		require.NoError(t, err)
		return r
	}
	require.Contains(t, []string{"server", "client"}, r.role)
	require.NotEmpty(t, r.path, "XENTROPYD_VCHAN_PATH")
	peer, err := strconv.ParseUint(os.Getenv("XENTROPYD_VCHAN_PEER"), 10, 16)
	require.NoError(t, err, "XENTROPYD_VCHAN_PEER")
	r.peer = uint16(peer)
	r.path += "-" + strings.ToLower(t.Name())
	return r
}

// ends opens the next channel: the end or ends that are ours, connected.
func (r *real) ends(o ring.Orders) (server, client *vchan.Conn) {
	r.t.Helper()
	r.offers++
	path := fmt.Sprintf("%s-%d", r.path, r.offers)
	var err error
	if r.role != "client" {
		server, err = Offer(r.ctx, r.store, r.peer, path, OfferOptions{Orders: o})
		require.NoError(r.t, err)
	}
	if r.role != "server" {
		client, err = Connect(r.ctx, r.store, r.peer, path, ConnectOptions{})
		if r.role == "" && errors.Is(err, ErrStale) {
			_ = server.Close()
			r.t.Skipf("this domain cannot map its own grants (%v): run with XENTROPYD_VCHAN_ROLE in two domains", err)
		}
		require.NoError(r.t, err)
	}
	if server != nil {
		// A client that came, wrote and went is gone, but what it wrote is
		// there.
		if err := server.Wait(r.ctx); !errors.Is(err, vchan.ErrPeerGone) {
			require.NoError(r.t, err)
		}
	}
	for _, c := range []*vchan.Conn{server, client} {
		if c != nil {
			deadline, _ := r.ctx.Deadline()
			require.NoError(r.t, c.SetDeadline(deadline))
		}
	}
	return server, client
}

// both runs f for the ends that are ours.
func (r *real) both(server, client *vchan.Conn, f func(c *vchan.Conn, role int) error) {
	r.t.Helper()
	errs := make(chan error, 2)
	n := 0
	for role, c := range []*vchan.Conn{server, client} {
		if c != nil {
			n++
			go func() { errs <- f(c, role) }()
		}
	}
	for range n {
		require.NoError(r.t, <-errs)
	}
}

func TestRealExchange(t *testing.T) {
	r := realDomain(t)
	total := number32(t, "XENTROPYD_VCHAN_BYTES", 1<<20)
	step := 0
	for _, o := range []ring.Orders{
		{Left: 11, Right: 10},
		{Left: 10, Right: 11},
		{Left: 12, Right: 12},
		{Left: 16, Right: 16},
		{Left: 10, Right: 16},
		{Left: 20, Right: 10},
	} {
		if o.Check() != nil {
			continue
		}
		for closer := range 2 {
			step++
			server, client := r.ends(o)
			begin := time.Now()
			r.both(server, client, func(c *vchan.Conn, role int) error { return realExchange(c, role, total, step) })
			took := time.Since(begin)
			r.both(server, client, func(c *vchan.Conn, role int) error { return realClose(c, role == closer) })
			t.Logf("orders %d and %d: %d bytes each way at once in %v, %.1f MB/s", o.Left, o.Right, total,
				took.Round(time.Millisecond),
				2*float64(total)/took.Seconds()/1e6)
		}
	}
}

// realExchange sends and receives at once, in random portions, and ends with a
// byte each way.
func realExchange(c *vchan.Conn, role, total, step int) error {
	sent := make(chan error, 1)
	go func() { sent <- send(c, randomBytes(total, uint64(2*step+role)), 9000, uint64(step)) }()
	err := expect(c, randomBytes(total, uint64(2*step+1-role)), 7000, uint64(step))
	return errors.Join(err, <-sent)
}

// realClose closes first, or sees the other close.
func realClose(c *vchan.Conn, first bool) error {
	if first {
		if _, err := c.Write([]byte("last")); err != nil {
			return err
		}
		return c.Close()
	}
	rest, err := io.ReadAll(c)
	if err == nil && string(rest) != "last" {
		err = fmt.Errorf("read %d bytes at the end", len(rest))
	}
	if _, werr := c.Write([]byte("x")); !errors.Is(werr, vchan.ErrPeerGone) {
		err = errors.Join(err, fmt.Errorf("write after the end: %v", werr))
	}
	return errors.Join(err, c.Close())
}

func number32(t *testing.T, env string, otherwise int) int {
	s := os.Getenv(env)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 31)
	require.NoError(t, err, env)
	return int(n)
}

// After many connects everything is back where it began: descriptors and
// mappings of the process, event channels of the domain, pages of gntalloc.
func TestRealConnects(t *testing.T) {
	r := realDomain(t)
	n := number32(t, "XENTROPYD_VCHAN_CONNECTS", 1000)
	hello := func(step int) {
		server, client := r.ends(ring.Orders{Left: uint16(11 + step%3), Right: 10})
		r.both(server, client, func(c *vchan.Conn, role int) error {
			if role == 1 {
				if _, err := c.Write([]byte("hello")); err != nil {
					return err
				}
			} else if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
				return err
			}
			if role == step%2 {
				_, err := io.ReadAll(c)
				return errors.Join(err, c.Close())
			}
			return c.Close()
		})
	}
	hello(0) // what is made once
	before := realCounts(t)
	begin := time.Now()
	for i := range n {
		hello(i)
	}
	t.Logf("%d connects, %v each", n, (time.Since(begin) / time.Duration(n)).Round(10*time.Microsecond))
	var after map[string]int
	for range 100 {
		if after = realCounts(t); mapsEqual(before, after) {
			break
		}
		time.Sleep(100 * time.Millisecond) // the other side may be unmapping still
	}
	require.Equal(t, before, after)
	t.Logf("counts before and after: %v", before)
}

func mapsEqual(a, b map[string]int) bool {
	return fmt.Sprint(a) == fmt.Sprint(b)
}

// realCounts is what the kernel tells. Linux shows event channels in
// /proc/interrupts; of grants it says nothing, but how many more pages gntalloc
// gives until its limit says how many are in use.
func realCounts(t *testing.T) map[string]int {
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	irqs, err := os.ReadFile("/proc/interrupts")
	require.NoError(t, err)
	counts := map[string]int{
		"descriptors":    len(fds),
		"mappings":       bytes.Count(maps, []byte("/dev/xen/")),
		"event channels": bytes.Count(irqs, []byte("evtchn:")),
	}
	d, err := xendev.OpenGntalloc(nil)
	require.NoError(t, err)
	defer func() { _ = d.Close() }()
	var all []*xendev.Mapping
	for _, pages := range []int{64, 1} {
		for len(all) < 1<<16 {
			m, _, err := d.Alloc(0, pages)
			if err != nil {
				require.ErrorIs(t, err, syscall.ENOSPC)
				break
			}
			all = append(all, m)
			counts["free gntalloc pages"] += pages
		}
	}
	for _, m := range all {
		require.NoError(t, m.Unmap())
	}
	return counts
}

// Either end is killed while the other one waits for it.
func TestRealKilled(t *testing.T) {
	r := realDomain(t)
	for _, victim := range []string{"server", "client", "port"} { // the last one is a server on a Port
		for _, reading := range []bool{true, false} {
			r.offers++
			path := fmt.Sprintf("%s-%d", r.path, r.offers)
			if r.role == victim || r.role == "server" && victim == "port" {
				r.die(path, victim)
				continue
			}
			var child *exec.Cmd
			if r.role == "" {
				child = r.spawn(path, victim)
			}
			survivor := r.survivor(path, victim)
			// The victim says that it is there, and then nothing.
			_, err := io.ReadFull(survivor, make([]byte, 5))
			require.NoError(t, err)
			if child != nil {
				time.AfterFunc(100*time.Millisecond, func() { _ = child.Process.Kill() })
			}
			if reading {
				_, err = survivor.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
			} else {
				_, err = survivor.Write(make([]byte, 1<<20))
				require.ErrorIs(t, err, vchan.ErrPeerGone)
			}
			require.NoError(t, survivor.Close())
			if child != nil {
				_ = child.Wait()
			}
		}
	}
}

// Channels on Ports, each of which was offered in vain before. Whoever ends
// one, the Port is used up.
func TestRealPort(t *testing.T) {
	r := realDomain(t)
	var last Published
	for i := range 20 {
		var server, client *vchan.Conn
		var o OfferOptions
		if r.role != "client" {
			var err error
			o.Port, err = OpenPort(r.peer, nil)
			require.NoError(t, err)
			for range 3 {
				vain, err := Offer(r.ctx, r.store, r.peer, r.path+"-vain", o)
				require.NoError(t, err)
				require.NoError(t, vain.Close())
				require.True(t, o.Port.Usable())
			}
			server, err = Offer(r.ctx, r.store, r.peer, r.path, o)
			require.NoError(t, err)
		}
		if r.role != "server" {
			client, last = r.connectNext(server, last)
		}
		r.both(server, client, func(c *vchan.Conn, role int) error {
			deadline, _ := r.ctx.Deadline()
			if err := c.SetDeadline(deadline); err != nil {
				return err
			}
			b := make([]byte, 5)
			if role == 0 {
				if err := c.Wait(r.ctx); err != nil {
					return err
				}
			}
			if _, err := c.Write([]byte("hello")); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, b); err != nil {
				return err
			}
			if i%2 == role { // the other one ends it
				_, err := c.Read(b)
				if !errors.Is(err, io.EOF) {
					return fmt.Errorf("not an end: %w", err)
				}
			} else {
				time.Sleep(time.Duration(i) * time.Millisecond)
			}
			return c.Close()
		})
		if o.Port != nil {
			require.False(t, o.Port.Usable())
			require.NoError(t, o.Port.Check())
		}
	}
}

// connectNext connects to the first offer that is not the last one.
func (r *real) connectNext(server *vchan.Conn, last Published) (*vchan.Conn, Published) {
	r.t.Helper()
	for ; r.ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		p, found, err := Lookup(r.ctx, r.store, r.path)
		require.NoError(r.t, err)
		if !found || p == last {
			continue
		}
		c, err := ConnectTo(r.peer, r.path, p, ConnectOptions{})
		switch {
		case err == nil:
			return c, p
		case r.role == "" && errors.Is(err, ErrStale):
			_ = server.Close()
			r.t.Skipf("this domain cannot map its own grants (%v): run with XENTROPYD_VCHAN_ROLE in two domains", err)
		case !errors.Is(err, ErrStale):
			require.NoError(r.t, err)
		}
	}
	r.t.Fatal("no other offer came")
	return nil, last
}

func (r *real) survivor(path, victim string) *vchan.Conn {
	r.t.Helper()
	var c *vchan.Conn
	var err error
	if victim == "client" {
		c, err = Offer(r.ctx, r.store, r.peer, path, OfferOptions{})
	} else {
		c, err = Connect(r.ctx, r.store, r.peer, path, ConnectOptions{})
		for errors.Is(err, ErrStale) && r.role != "" { // nodes of a server that an earlier run killed
			time.Sleep(20 * time.Millisecond)
			c, err = Connect(r.ctx, r.store, r.peer, path, ConnectOptions{})
		}
	}
	require.NoError(r.t, err)
	deadline, _ := r.ctx.Deadline()
	require.NoError(r.t, c.SetDeadline(deadline))
	return c
}

// spawn starts this test once more, as the victim.
func (r *real) spawn(path, role string) *exec.Cmd {
	r.t.Helper()
	exe, err := os.Executable()
	require.NoError(r.t, err)
	c := exec.CommandContext(r.ctx, exe, "-test.run=^TestRealVictim$")
	c.Env = append(os.Environ(), "XENTROPYD_VCHAN_VICTIM="+role, "XENTROPYD_VCHAN_PATH="+path,
		fmt.Sprintf("XENTROPYD_VCHAN_PEER=%d", r.peer))
	c.Stderr = os.Stderr
	require.NoError(r.t, c.Start())
	return c
}

// die is the part of the domain whose process is killed.
func (r *real) die(path, role string) {
	r.t.Helper()
	c := r.spawn(path, role)
	_ = c.Wait() // it kills itself
}

// TestRealVictim is not a test of its own: it connects and is killed.
func TestRealVictim(t *testing.T) {
	role := os.Getenv("XENTROPYD_VCHAN_VICTIM")
	if role == "" {
		t.Skip("TestRealKilled starts it")
	}
	r := realDomain(t)
	path := os.Getenv("XENTROPYD_VCHAN_PATH")
	peer, err := strconv.ParseUint(os.Getenv("XENTROPYD_VCHAN_PEER"), 10, 16)
	require.NoError(t, err)
	var c *vchan.Conn
	if role != "client" {
		var o OfferOptions
		if role == "port" {
			o.Port, err = OpenPort(uint16(peer), nil)
			require.NoError(t, err)
		}
		c, err = Offer(r.ctx, r.store, uint16(peer), path, o)
		require.NoError(t, err)
		require.NoError(t, c.Wait(r.ctx))
	} else {
		c, err = Connect(r.ctx, r.store, uint16(peer), path, ConnectOptions{})
		require.NoError(t, err)
	}
	_, err = c.Write([]byte("hello"))
	require.NoError(t, err)
	time.Sleep(300 * time.Millisecond)
	p, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	_ = p.Kill()
	select {}
}
