package xen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/transport"
)

// finder finds one guest.
type finder struct {
	guests chan transport.Peer
	closed chan struct{}
	order  *[]string
}

func (f *finder) Accept() (transport.Conn, transport.Peer, error) {
	select {
	case p := <-f.guests:
		return nil, p, nil
	case <-f.closed:
		return nil, transport.Peer{}, net.ErrClosed
	}
}

func (f *finder) Close() error {
	*f.order = append(*f.order, "search")
	close(f.closed)
	return nil
}

func (f *finder) Domains() []transport.Domain { return []transport.Domain{{DomID: 7}} }

type closer func()

func (c closer) Close() error {
	c()
	return nil
}

// TestXenstoredComesLate: the daemon starts before xenstored does, waits for it
// in the background, and says so once.
func TestXenstoredComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var order []string
		f := &finder{guests: make(chan transport.Peer, 1), closed: make(chan struct{}), order: &order}
		begin := time.Now()
		x := newListener(slog.New(slog.NewTextHandler(&log, nil)),
			func(ctx context.Context) (transport.Finder, io.Closer, error) {
				if time.Since(begin) < 2*time.Minute {
					<-ctx.Done() // /dev/xen/xenbus before xenstored: no answer
					return nil, nil, ctx.Err()
				}
				return f, closer(func() { order = append(order, "xenstored") }), nil
			})
		assert.Less(t, time.Since(begin), time.Second, "the start waits for nobody")
		assert.Empty(t, x.Domains())
		f.guests <- transport.Peer{ID: "domain 7"}
		_, p, err := x.Accept()
		require.NoError(t, err)
		assert.Equal(t, "domain 7", p.ID)
		assert.InDelta(t, 2*time.Minute, time.Since(begin), float64(searchTime+searchPause))
		assert.Len(t, x.Domains(), 1)
		require.NoError(t, x.Close())
		_, _, err = x.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		assert.Equal(t, []string{"search", "xenstored"}, order)
		assert.Equal(t, 1, strings.Count(log.String(), "xenstored does not answer yet"))
	})
}

// TestXenstoredNeverComes: the end does not wait for it either.
func TestXenstoredNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		x := newListener(slog.New(slog.DiscardHandler), func(context.Context) (transport.Finder, io.Closer, error) {
			return nil, nil, errors.New("connection refused")
		})
		accepted := make(chan error)
		go func() { _, _, err := x.Accept(); accepted <- err }()
		time.Sleep(time.Minute)
		require.NoError(t, x.Close())
		require.NoError(t, x.Close())
		require.ErrorIs(t, <-accepted, net.ErrClosed)
		assert.Equal(t, time.Minute, time.Since(begin))
	})
}
