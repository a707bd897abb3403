package xenstore

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// single is a connection that bears one request at a time.
type single struct{ io.ReadWriteCloser }

func (single) MaxPayload() int  { return 64 }
func (single) OneAtATime() bool { return true }

// alone makes a client whose daemon is f, over such a connection.
func alone(t *testing.T, f func(p *peer)) *Client {
	c := New(single{play(t, f)})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestOneAtATime(t *testing.T) {
	c := alone(t, func(p *peer) {
		for {
			h, _, ok := p.next()
			if !ok {
				return
			}
			// If the client wrote more, the pipe would give it here.
			_ = p.conn.SetReadDeadline(time.Now().Add(tick))
			n, err := p.conn.Read(make([]byte, 1))
			if n != 0 || err == io.EOF {
				t.Error("a request before the answer to the one before")
				_ = p.conn.Close()
				return
			}
			_ = p.conn.SetReadDeadline(time.Time{})
			p.send(wire.Message(wire.WatchEvent, 0, 0, wire.Join("/w", "old")))
			p.reply(h, "v")
		}
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			v, err := c.Read(t.Context(), "/a")
			if err != nil || v != "v" {
				t.Error(v, err)
			}
		})
	}
	wg.Wait()
	require.ErrorIs(t, c.Write(t.Context(), "/a", string(make([]byte, 62))), ErrTooBig)
	require.NoError(t, c.Err())
}

// TestAbandonedHoldsUpTheNext: the next request waits for the reply that nobody
// wants any more.
func TestAbandonedHoldsUpTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		const late = (overdueTicks - 1) * overdueTick
		c := alone(t, func(p *peer) {
			h, _, _ := p.next()
			_ = p.conn.SetReadDeadline(begin.Add(late))
			if n, _ := p.conn.Read(make([]byte, 1)); n > 0 {
				t.Error("the next request before the answer")
				_ = p.conn.Close()
				return
			}
			_ = p.conn.SetReadDeadline(time.Time{})
			p.reply(h, "late")
			h, _, _ = p.next()
			p.reply(h, "next")
			p.drain()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := c.Read(ctx, "/a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		v, err := c.Read(t.Context(), "/a")
		require.NoError(t, err)
		require.Equal(t, "next", v)
		require.Equal(t, late, time.Since(begin))
	})
}

// TestAbandonedForever: without a reply the connection is given up, but not
// while somebody waits for that reply.
func TestAbandonedForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := alone(t, func(p *peer) { p.drain() })
		const patient = 24 * time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		defer cancel()
		begin := time.Now()
		_, err := c.Read(ctx, "/a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, c.Err())
		ctx, cancel = context.WithTimeout(t.Context(), patient)
		defer cancel()
		_, err = c.Read(ctx, "/b")
		require.ErrorIs(t, err, ErrDisconnected)
		require.ErrorIs(t, err, errOverdue)
		require.ErrorContains(t, err, "READ /a")
		require.Equal(t, patient+overdueTicks*overdueTick, time.Since(begin))
		require.ErrorIs(t, c.Err(), errOverdue)
	})
}
