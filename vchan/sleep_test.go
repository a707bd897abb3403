package vchan

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sleeps counts what OnSleep's functions are called for.
type sleeps struct {
	begun, ended atomic.Int32
	at           chan struct{} // gets one at each sleep
}

// await waits for the next sleep.
func (s *sleeps) await(t *testing.T) {
	t.Helper()
	select {
	case <-s.at:
	case <-time.After(time.Minute):
		t.Fatal("nobody says that he sleeps")
	}
}

func watchSleeps(c *Conn) *sleeps {
	s := &sleeps{at: make(chan struct{}, 1000)}
	c.OnSleep(func(<-chan struct{}) { s.begun.Add(1); s.at <- struct{}{} }, func() { s.ended.Add(1) })
	return s
}

// Read and Write tell when they sleep and when they go on, in pairs; nobody
// else does, whatever wakes them.
func TestOnSleep(t *testing.T) {
	server, client := pipe(t, small)
	s := watchSleeps(server)
	read := func() (got chan error) {
		got = make(chan error, 1)
		go func() {
			_, err := server.Read(make([]byte, 8))
			got <- err
		}()
		s.await(t)
		return got
	}
	got := read() // an event of the client's coming may wake it once, for nothing
	time.Sleep(10 * time.Millisecond)
	n := s.begun.Load()
	_ = server.Buffered()
	require.NoError(t, server.Wait(context.Background()))
	require.NoError(t, server.SetWriteDeadline(time.Now().Add(time.Hour)))
	require.Equal(t, n, s.begun.Load())
	require.Equal(t, n-1, s.ended.Load(), "it sleeps")
	_, err := client.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, <-got)
	require.Equal(t, s.begun.Load(), s.ended.Load())

	for len(s.at) > 0 {
		<-s.at
	}
	got = read()
	require.NoError(t, server.SetReadDeadline(time.Unix(1, 0)))
	require.ErrorIs(t, <-got, os.ErrDeadlineExceeded)
	require.Equal(t, s.begun.Load(), s.ended.Load())

	for len(s.at) > 0 {
		<-s.at
	}
	go func() { // more than the ring holds
		_, err := server.Write(make([]byte, 3000))
		got <- err
	}()
	s.await(t)
	_, err = receive(client, 3000, 512, 1)
	require.NoError(t, err)
	require.NoError(t, <-got)
	require.Equal(t, s.begun.Load(), s.ended.Load())

	n = s.begun.Load()
	_, err = client.Write([]byte("y"))
	require.NoError(t, err)
	require.NoError(t, server.SetReadDeadline(time.Time{}))
	_, err = server.Read(make([]byte, 1))
	require.NoError(t, err)
	require.Equal(t, n, s.begun.Load(), "what does not sleep does not say so")
}

// Who takes his time in sleep is waited for by his own call alone, and is told
// of a Close.
func TestSleepEndsWithClose(t *testing.T) {
	server, client := pipe(t, small)
	s := &sleeps{at: make(chan struct{}, 1)}
	server.OnSleep(func(ended <-chan struct{}) { s.at <- struct{}{}; <-ended }, func() {})
	got := make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, 8))
		got <- err
	}()
	s.await(t)
	_, err := client.Write([]byte("x"))
	require.NoError(t, err)
	require.Equal(t, 1, server.Buffered())
	require.NoError(t, server.SetReadDeadline(time.Unix(1, 0)))
	require.Empty(t, got)
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-got, net.ErrClosed)
}
