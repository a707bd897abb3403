package host

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/cputime"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// drawer is a Drawer whose bytes count draws, and which can be unseeded,
// stopped or degraded.
type drawer struct {
	mu       sync.Mutex
	draws    uint64
	err      error
	degraded bool
	ready    chan struct{}
}

func newDrawer() *drawer {
	d := &drawer{ready: make(chan struct{})}
	close(d.ready)
	return d
}

func (d *drawer) Draw(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return 0, d.err
	}
	d.draws++
	for i := range p {
		p[i] = 0xd0
	}
	binary.BigEndian.PutUint64(p, d.draws)
	if d.degraded {
		return 0, nil
	}
	return min(8*len(p), 256), nil
}

func (d *drawer) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *drawer) degrade() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.degraded = nil, true
}

func (d *drawer) Degraded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.degraded
}

func (d *drawer) Ready() <-chan struct{} { return d.ready }

// listener hands out what is put into it.
type listener struct {
	guests chan arrival
	closed chan struct{}
	once   sync.Once
}

type arrival struct {
	ch   transport.Conn
	peer transport.Peer
}

func newListener() *listener {
	return &listener{guests: make(chan arrival), closed: make(chan struct{})}
}

func (l *listener) Accept() (transport.Conn, transport.Peer, error) {
	select {
	case a := <-l.guests:
		return a.ch, a.peer, nil
	case <-l.closed:
		return nil, transport.Peer{}, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// bench is a server with one listener, in a synctest bubble, which ends with
// the test.
type bench struct {
	*testing.T
	server *Server
	drawer *drawer
	l      *listener
	stop   func()

	incarnation string // of the next peers
	group       string // theirs, if it is not "group"
}

// with is the default configuration with changes.
func with(change func(c *Config)) Config {
	c := DefaultConfig()
	change(&c)
	return c
}

// serve runs test in a bubble with a server of this configuration.
func serve(t *testing.T, cfg Config, test func(b *bench)) {
	t.Helper()
	serveOn(t, cfg, cputime.Thread, test)
}

// serveOn is serve with another clock of the CPU time of threads: no bubble has
// one.
func serveOn(t *testing.T, cfg Config, threadTime func() time.Duration, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Log = slog.New(slog.DiscardHandler)
		d := newDrawer()
		s, err := NewServer(d, cfg)
		require.NoError(t, err)
		s.threadTime = threadTime
		ctx, cancel := context.WithCancel(t.Context())
		b := &bench{T: t, server: s, drawer: d, l: newListener()}
		var wg sync.WaitGroup
		wg.Go(func() { s.Run(ctx) })
		wg.Go(func() {
			if err := s.Serve(ctx, b.l); err != nil {
				t.Error(err)
			}
		})
		b.stop = func() { cancel(); wg.Wait() }
		defer b.stop()
		synctest.Wait() // Run has seen that it is ready, and kicks nobody for that any more
		test(b)
	})
}

// client is a guest made of the protocol's state machine, one step at a time.
type client struct {
	*bench
	conn    net.Conn
	proto   *protocol.Guest
	decoder *protocol.Decoder
	welcome protocol.Welcome
}

// connect brings a channel of this peer to the server.
func (b *bench) connect(id string) net.Conn {
	b.Helper()
	here, there := net.Pipe()
	b.l.guests <- arrival{there, transport.Peer{
		ID: id, Group: cmp.Or(b.group, "group"), Name: id, Carrier: "pipe",
		First: b.group == "root" || b.group == "domain", Incarnation: b.incarnation,
	}}
	b.Cleanup(func() { here.Close() })
	return here
}

// hello connects and says hello.
func (b *bench) hello(id string) *client {
	b.Helper()
	c := &client{bench: b, conn: b.connect(id), proto: protocol.NewGuest(protocol.Hello{Label: "label of " + id})}
	c.decoder = protocol.NewGuestDecoder(c.conn)
	_, err := c.conn.Write(c.proto.AppendHello(nil))
	require.NoError(b, err)
	return c
}

// join connects, says hello and takes the welcome.
func (b *bench) join(id string) *client {
	b.Helper()
	c := b.hello(id)
	c.welcome = c.next().(protocol.Welcome)
	return c
}

// next returns the host's next message; the payload of a seed is copied.
func (c *client) next() protocol.Message {
	c.Helper()
	m, err := c.try()
	require.NoError(c, err)
	return m
}

func (c *client) try() (protocol.Message, error) {
	f, err := c.decoder.Next()
	if err != nil {
		return nil, err
	}
	m, err := c.proto.Open(f)
	if s, ok := m.(protocol.Seed); ok {
		s.Payload = append([]byte(nil), s.Payload...)
		m = s
	}
	return m, err
}

// seed returns the host's next message, which must be a seed, and acknowledges
// it.
func (c *client) seed() protocol.Seed {
	c.Helper()
	m := c.next()
	s, ok := m.(protocol.Seed)
	require.True(c, ok, "a seed was due, not %T", m)
	c.send(protocol.Ack{
		Sequence: s.Sequence, Generation: s.Generation,
		Outcomes: []protocol.Outcome{{Target: protocol.TargetLibrary, OK: true, Credit: s.Credit}},
	})
	return s
}

func (c *client) send(m protocol.Message) {
	c.Helper()
	_, err := c.conn.Write(c.proto.Append(nil, m))
	require.NoError(c, err)
}

// silent checks that nothing comes for d.
func (c *client) silent(d time.Duration) {
	c.Helper()
	c.conn.SetReadDeadline(time.Now().Add(d))
	_, err := c.decoder.Next()
	var timeout net.Error
	require.True(c, errors.As(err, &timeout) && timeout.Timeout(), "something came: %v", err)
	c.conn.SetReadDeadline(time.Time{})
}

// ended checks that the host closes the channel with this reason.
func (c *client) ended(reason protocol.CloseReason) protocol.Close {
	c.Helper()
	m := c.next()
	require.IsType(c, protocol.Close{}, m)
	require.Equal(c, reason, m.(protocol.Close).Reason)
	_, err := c.decoder.Next()
	require.ErrorIs(c, err, io.EOF)
	return m.(protocol.Close)
}

func (b *bench) guest(id string) GuestStatus {
	b.Helper()
	synctest.Wait()
	for _, g := range b.server.Status().Guests {
		if g.ID == id {
			return g
		}
	}
	b.Fatalf("server does not know guest %q", id)
	return GuestStatus{}
}

func newPipe(b *bench) (here, there net.Conn) {
	here, there = net.Pipe()
	b.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}
