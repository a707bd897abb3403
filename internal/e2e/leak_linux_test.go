package e2e

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/sourcetest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// TestAMillionEvents drives the whole path, from a noise source through host,
// channel and guest to a reader, until a million samples have become events,
// and watches the heap: the entropy path of 2015 leaked.
func TestAMillionEvents(t *testing.T) {
	const events = 1_000_000
	dir := t.TempDir()
	src := sourcetest.New(sourcetest.Info(8, 4), sourcetest.Good(1))
	quick := func(source.Info) source.Pace { return source.Pace{Every: 50 * time.Microsecond, Samples: 1024} }
	entropy, err := gathering([]source.Source{src}, nil, source.WithPace(quick))
	require.NoError(t, err)
	server, err := host.NewServer(entropy, generous())
	require.NoError(t, err)
	l, err := all.Carriers.Listen(socketIn(dir), transport.DefaultListenOptions())
	require.NoError(t, err)
	before, goroutines := fds(t), runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- serve(ctx, entropy, server, l) }()
	g, err := guest.Open(t.Context(), dialer(dir), guest.Options{
		Sources: []source.Source{sourcetest.New(sourcetest.Info(8, 4), sourcetest.Good(2))},
	})
	require.NoError(t, err)

	delivered := func() uint64 { return entropy.Status().Sources[0].Samples / (32 / 8) } // an event holds 32 bytes
	p := make([]byte, 64)
	work := func(until uint64) {
		for i := 0; delivered() < until; i++ {
			if _, err := g.Read(p); err != nil {
				t.Fatal(err)
			}
			if i%64 == 0 {
				require.NoError(t, g.Refresh(t.Context()))
			}
		}
	}
	work(events / 20)
	early := heap()
	work(events)
	late := heap()
	s := g.Status()
	t.Logf("%d events, %d seeds, %d bytes read, heap %d KiB after a twentieth and %d KiB at the end", delivered(),
		s.Host.Seeds, s.BytesRead, early>>10, late>>10)
	require.Less(t, int64(late)-int64(early), int64(512<<10))

	require.NoError(t, g.Close())
	cancel()
	require.NoError(t, <-done)
	noGoroutinesLeft(t, goroutines)
	require.LessOrEqual(t, fds(t), before, "file descriptors are left")
}
