package xenstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// TestSlowConsumer: nobody looks at a watch while thousands of events come, and
// nothing else waits for that.
func TestSlowConsumer(t *testing.T) {
	s, c := start(t)
	w, err := c.Watch(t.Context(), "/a")
	require.NoError(t, err)
	few, err := c.Watch(t.Context(), "/b")
	require.NoError(t, err)
	_, err = few.Wait(t.Context())
	require.NoError(t, err)
	_, err = w.Wait(t.Context())
	require.NoError(t, err)
	for i := range 5000 {
		s.Write(fmt.Sprintf("/a/%d", i%500), "")
		if i%500 == 0 {
			_, err := c.Read(t.Context(), "/a")
			require.NoError(t, err)
		}
	}
	for i := range 3 {
		s.Write(fmt.Sprintf("/b/%d", i), "")
		s.Write("/b/0", "again")
	}
	_, err = c.Read(t.Context(), "/a") // all events have been sent before this reply
	require.NoError(t, err)
	got, err := w.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"/a"}, got, "too many paths become the watched one")
	got, err = few.Wait(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"/b/0", "/b/1", "/b/2"}, got)
	require.Empty(t, w.Take())
}

func TestSpuriousEvents(t *testing.T) {
	s := xenstoretest.NewServer(xenstoretest.WithSpuriousEvents())
	defer s.Close()
	c, err := xenstore.Dial(t.Context(), s.Dialer(0))
	require.NoError(t, err)
	defer c.Close()
	w, err := c.Watch(t.Context(), "/a")
	require.NoError(t, err)
	for range 10 {
		s.Write("/a", "")
		s.Fire("/a")
		got, err := w.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"/a"}, got)
	}
}

// TestUnwatchRefused: an UNWATCH may be answered with ENOENT, and events of a
// watch that is gone may still come.
func TestUnwatchRefused(t *testing.T) {
	s, c := start(t)
	on(s, "UNWATCH", xenstoretest.Fault{Error: "ENOENT"})
	w, err := c.Watch(t.Context(), "/a")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	s.Write("/a", "") // the server keeps the watch and fires it
	_, err = c.Read(t.Context(), "/a")
	require.NoError(t, err)
	require.Empty(t, w.Take())
	_, err = w.Wait(t.Context())
	require.ErrorIs(t, err, xenstore.ErrClosed)
	_, open := <-w.C()
	require.False(t, open)
}

func TestWatchWaitEndsWithContext(t *testing.T) {
	_, c := start(t)
	w, err := c.Watch(t.Context(), "/a")
	require.NoError(t, err)
	<-w.C()
	require.Equal(t, []string{"/a"}, w.Take())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.Wait(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, w.Err())
}

func TestRelativeWatch(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	s.AddDomain(5, "guest")
	c, err := xenstore.Dial(t.Context(), s.Dialer(5))
	require.NoError(t, err)
	defer c.Close()
	w, err := c.Watch(t.Context(), "data/entropy")
	require.NoError(t, err)
	got, err := w.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"data/entropy"}, got)
	require.NoError(t, c.Write(t.Context(), "data/entropy", "1"))
	got, err = w.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"data/entropy"}, got)
}
