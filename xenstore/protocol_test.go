package xenstore

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/leaktest"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// TestBadReplies: each ends the connection, with an error that names the place.
func TestBadReplies(t *testing.T) {
	raw := func(op wire.Op, req, length uint32, payload string) []byte {
		b := make([]byte, wire.HeaderSize)
		wire.Header{Op: op, Req: req, Len: length}.Put(b)
		return append(b, payload...)
	}
	msg := func(op wire.Op, req uint32, payload string) []byte {
		return wire.Message(op, req, 0, []byte(payload))
	}
	read := func(c *Client) error { _, err := c.Read(t.Context(), "/a"); return err }
	list := func(c *Client) error { _, err := c.Directory(t.Context(), "/a"); return err }
	perms := func(c *Client) error { _, err := c.GetPerms(t.Context(), "/a"); return err }
	write := func(c *Client) error { return c.Write(t.Context(), "/a", "v") }
	known := func(c *Client) error { _, err := c.IsDomainIntroduced(t.Context(), 1); return err }
	home := func(c *Client) error { _, err := c.GetDomainPath(t.Context(), 1); return err }
	begin := func(c *Client) error { return c.Transaction(t.Context(), func(*Tx) error { return nil }) }
	for name, test := range map[string]struct {
		do    func(*Client) error
		bytes []byte
		place string
	}{
		"too long":          {read, raw(wire.Read, 1, wire.MaxPayload+1, ""), "reply 1 (READ)"},
		"longest length":    {read, raw(wire.Read, 1, 0xffffffff, ""), "reply 1 (READ)"},
		"long list unasked": {read, raw(wire.Directory, 1, wire.MaxPayload+1, ""), "reply 1 (DIRECTORY)"},
		"list far too long": {list, raw(wire.Directory, 1, maxDirectory+1, ""), "reply 1 (DIRECTORY)"},
		"long event":        {read, raw(wire.WatchEvent, 0, wire.MaxPayload+1, ""), "watch event"},
		"unknown id":        {read, msg(wire.Read, 2, "v"), "reply 2 (READ)"},
		"id 0":              {read, msg(wire.Read, 0, "v"), "reply 0 (READ)"},
		"wrong type":        {read, msg(wire.Write, 1, "OK\x00"), "reply 1 (WRITE)"},
		"unknown type":      {read, msg(99, 1, ""), "reply 1 (type 99)"},
		"error without NUL": {read, msg(wire.Error, 1, "ENOENT"), "reply 1 (ERROR to READ)"},
		"error empty":       {read, msg(wire.Error, 1, ""), "reply 1 (ERROR to READ)"},
		"error junk":        {read, msg(wire.Error, 1, "\x01\x02\x00"), "reply 1 (ERROR to READ)"},
		"error two names":   {read, msg(wire.Error, 1, "ENOENT\x00EIO\x00"), "reply 1 (ERROR to READ)"},
		"error too long": {
			read, msg(wire.Error, 1, "E"+strings.Repeat("X", 99)+"\x00"),
			"reply 1 (ERROR to READ)",
		},
		"list without NUL":    {list, msg(wire.Directory, 1, "a\x00b"), "reply 1 (DIRECTORY)"},
		"list with empty":     {list, msg(wire.Directory, 1, "a\x00\x00"), "reply 1 (DIRECTORY)"},
		"perms empty":         {perms, msg(wire.GetPerms, 1, ""), "reply 1 (GET_PERMS)"},
		"perms junk":          {perms, msg(wire.GetPerms, 1, "x0\x00"), "reply 1 (GET_PERMS)"},
		"not OK":              {write, msg(wire.Write, 1, "KO\x00"), "reply 1 (WRITE)"},
		"OK without NUL":      {write, msg(wire.Write, 1, "OK"), "reply 1 (WRITE)"},
		"neither T nor F":     {known, msg(wire.IsDomainIntroduced, 1, "X\x00"), "reply 1 (IS_DOMAIN_INTRODUCED)"},
		"no path":             {home, msg(wire.GetDomainPath, 1, "\x00"), "reply 1 (GET_DOMAIN_PATH)"},
		"transaction 0":       {begin, msg(wire.TransactionStart, 1, "0\x00"), "reply 1 (TRANSACTION_START)"},
		"transaction junk":    {begin, msg(wire.TransactionStart, 1, "-1\x00"), "reply 1 (TRANSACTION_START)"},
		"event without NUL":   {read, msg(wire.WatchEvent, 0, "/a\x001"), "watch event"},
		"event without token": {read, msg(wire.WatchEvent, 0, "/a\x00"), "watch event"},
		"event empty":         {read, msg(wire.WatchEvent, 0, ""), "watch event"},
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			c := scripted(t, func(p *peer) {
				p.next()
				p.send(test.bytes)
				p.drain()
			})
			err := test.do(c)
			var bad *ProtocolError
			require.ErrorAs(t, err, &bad)
			require.Contains(t, bad.Place, test.place)
			require.NotEmpty(t, bad.Problem)
			require.ErrorIs(t, err, ErrDisconnected)
			// The connection is closed, not only the request failed.
			require.Eventually(t, func() bool { return c.Err() != nil }, waitFor, tick)
			require.ErrorIs(t, read(c), ErrDisconnected)
		})
	}
}

func TestCutShort(t *testing.T) {
	whole := wire.Message(wire.Read, 1, 0, []byte("value"))
	for n := range len(whole) {
		c := scripted(t, func(p *peer) {
			p.next()
			p.send(whole[:n])
			_ = p.conn.Close()
		})
		_, err := c.Read(t.Context(), "/a")
		require.ErrorIs(t, err, ErrDisconnected)
		if n == 0 {
			require.ErrorIs(t, err, io.EOF)
		} else {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
	}
}

// TestErrorKept: names that we do not know are kept too.
func TestErrorKept(t *testing.T) {
	c := scripted(t, func(p *peer) {
		for {
			h, _, ok := p.next()
			if !ok {
				return
			}
			p.fail(h, "EWHATEVER1")
		}
	})
	_, err := c.Read(t.Context(), "/a/b")
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, Error{Op: "READ", Path: "/a/b", Name: "EWHATEVER1"}, *e)
	require.NoError(t, c.Err())
}

// TestDirectoryParts: the list changes twice while it is read, then it is read
// whole.
func TestDirectoryParts(t *testing.T) {
	answers := map[string][]string{
		"0":  {"1\x00aaa\x00bbb\x00", "2\x00aaa\x00bb\x00", "3\x00aaa\x00"},
		"8":  {"9\x00x\x00\x00"},                       // another generation
		"7":  {"2\x00cc\x00"},                          // the same: goes on
		"10": {"4\x00\x00"},                            // another one at the very end
		"4":  {"3\x00ccccc\x00"}, "10b": {"3\x00\x00"}, // the third time without a change
	}
	c := scripted(t, func(p *peer) {
		for {
			h, payload, ok := p.next()
			switch {
			case !ok:
				return
			case h.Op == wire.Directory:
				p.fail(h, "E2BIG")
				continue
			}
			offset := strings.Split(payload, "\x00")[1]
			if len(answers[offset]) == 0 {
				offset += "b"
			}
			p.reply(h, answers[offset][0])
			answers[offset] = answers[offset][1:]
		}
	})
	list, err := c.Directory(t.Context(), "/a")
	require.NoError(t, err)
	require.Equal(t, []string{"aaa", "ccccc"}, list)
}

// TestDirectoryRestless: a list that never stands still ends the attempts.
func TestDirectoryRestless(t *testing.T) {
	gen := 0
	c := scripted(t, func(p *peer) {
		for {
			h, _, ok := p.next()
			if !ok {
				return
			}
			if h.Op == wire.Directory {
				p.fail(h, "E2BIG")
				continue
			}
			gen++
			p.reply(h, strconv.Itoa(gen)+"\x00a\x00")
		}
	})
	_, err := c.Directory(t.Context(), "/a")
	require.ErrorIs(t, err, ErrAgain)
	require.NoError(t, c.Err())
}

// TestDirectoryNoParts: a daemon that has no way to say it.
func TestDirectoryNoParts(t *testing.T) {
	c := scripted(t, func(p *peer) {
		for {
			h, _, ok := p.next()
			if !ok {
				return
			}
			p.fail(h, map[wire.Op]string{wire.Directory: "E2BIG", wire.DirectoryPart: "ENOSYS"}[h.Op])
		}
	})
	_, err := c.Directory(t.Context(), "/a")
	require.ErrorIs(t, err, ErrTooBig)
	require.ErrorIs(t, err, ErrNotSupported)
}

// TestDirectoryEndless: a list without an end is cut off.
func TestDirectoryEndless(t *testing.T) {
	name := strings.Repeat("n", 4000)
	c := scripted(t, func(p *peer) {
		for {
			h, _, ok := p.next()
			if !ok {
				return
			}
			if h.Op == wire.Directory {
				p.fail(h, "E2BIG")
				continue
			}
			p.reply(h, "1\x00"+name+"\x00")
		}
	})
	_, err := c.Directory(t.Context(), "/a")
	require.ErrorIs(t, err, ErrTooBig)
}

// errDevice is a device that refuses requests by write(2).
type errDevice struct {
	io.ReadWriteCloser
	refuse error
	fatal  bool
}

func (d *errDevice) Write(b []byte) (int, error) {
	if d.refuse != nil && wire.Parse(b).Op == wire.Watch {
		return 0, d.refuse
	}
	return d.ReadWriteCloser.Write(b)
}

func (d *errDevice) requestError(error) (string, bool) { return "ENOSPC", !d.fatal }
func (d *errDevice) MaxPayload() int                   { return 100 }
func (d *errDevice) OneAtATime() bool                  { return true }

func TestDeviceRefusal(t *testing.T) {
	for _, fatal := range []bool{false, true} {
		rwc := play(t, func(p *peer) {
			for {
				h, _, ok := p.next()
				if !ok {
					return
				}
				p.reply(h, "v")
			}
		})
		d := &errDevice{ReadWriteCloser: rwc, refuse: errors.New("refused"), fatal: fatal}
		c := New(d)
		_, err := c.Watch(t.Context(), "/a")
		_, after := c.Read(t.Context(), "/a")
		if fatal {
			require.ErrorIs(t, err, ErrDisconnected)
			require.ErrorIs(t, after, ErrDisconnected)
		} else {
			require.ErrorIs(t, err, ErrQuota)
			require.NoError(t, after)
			require.ErrorIs(t, c.Write(t.Context(), "/a", strings.Repeat("x", 98)), ErrTooBig)
			require.NoError(t, c.Err())
		}
		require.NoError(t, c.Close())
	}
}

// TestWithdrawnCommit: a commit given up before it was sent must not leave the
// transaction open.
func TestWithdrawnCommit(t *testing.T) {
	goOn := make(chan struct{})
	sent := make(chan string, 10)
	c := scripted(t, func(p *peer) {
		h, _, _ := p.next()
		p.reply(h, "7\x00")
		<-goOn
		for {
			h, payload, ok := p.next()
			if !ok {
				return
			}
			sent <- h.Op.String() + " " + payload
			if h.Op == wire.Read {
				p.reply(h, "")
			}
		}
	})
	conn := c.cur
	queued := func(pending, queue int) func() bool {
		return func() bool {
			conn.mu.Lock()
			defer conn.mu.Unlock()
			return len(conn.pending) == pending && len(conn.queue) == queue
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	read := make(chan error, 1)
	err := c.Transaction(ctx, func(*Tx) error {
		go func() {
			_, err := c.Read(t.Context(), "/a")
			read <- err
		}()
		// The writer is busy with READ, which nobody takes: the END to come has
		// to wait.
		require.Eventually(t, queued(1, 0), waitFor, tick)
		go func() {
			for !queued(2, 1)() {
				time.Sleep(tick)
			}
			cancel()
		}()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	close(goOn)
	require.Equal(t, "READ /a\x00", <-sent)
	require.Equal(t, "TRANSACTION_END F\x00", <-sent)
	require.NoError(t, <-read)
}

// TestReconnectFires: a watch set again fires even when the daemon does not say
// so.
func TestReconnectFires(t *testing.T) {
	drop := make(chan struct{})
	dials := 0
	c, err := Dial(t.Context(), func(context.Context) (io.ReadWriteCloser, error) {
		dials++
		first := dials == 1
		return play(t, func(p *peer) {
			h, payload, _ := p.next()
			p.reply(h, "OK\x00")
			if first {
				p.send(wire.Message(wire.WatchEvent, 0, 0, []byte(payload)))
				<-drop
				_ = p.conn.Close()
			}
			p.drain()
		}), nil
	}, WithReconnect(ReconnectPolicy{Delay: time.Millisecond}))
	require.NoError(t, err)
	defer c.Close()
	w, err := c.Watch(t.Context(), "/a")
	require.NoError(t, err)
	for range 2 {
		got, err := w.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"/a"}, got)
		if dials == 1 {
			close(drop)
		}
	}
	require.Equal(t, 2, dials)
}

// slowEnd is a connection whose Read takes a while to notice the end.
type slowEnd struct {
	closed chan struct{}
	once   sync.Once
	ended  atomic.Bool
}

func (s *slowEnd) Read([]byte) (int, error) {
	<-s.closed
	time.Sleep(20 * time.Millisecond)
	s.ended.Store(true)
	return 0, io.EOF
}

func (s *slowEnd) Write(b []byte) (int, error) { return len(b), nil }

func (s *slowEnd) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// TestCloseWaits: after Close no goroutine of the client touches the connection
// any more.
func TestCloseWaits(t *testing.T) {
	s := &slowEnd{closed: make(chan struct{})}
	require.NoError(t, New(s).Close())
	require.True(t, s.ended.Load())
}
