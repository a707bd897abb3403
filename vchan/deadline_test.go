package vchan

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

type word = atomic.Uint32

func page4(page []byte, at int) unsafe.Pointer { return unsafe.Pointer(&page[at]) }

func inBubble(t *testing.T, f func(t *testing.T, server, client *Conn)) {
	synctest.Test(t, func(t *testing.T) {
		server, client, err := Pipe(small)
		require.NoError(t, err)
		defer func() { _ = server.Close(); _ = client.Close() }()
		f(t, server, client)
	})
}

// Each direction times out at its own time, to the nanosecond, whoever leads.
func TestDeadlines(t *testing.T) {
	for _, d := range [][2]time.Duration{
		{time.Second, 3 * time.Second},
		{3 * time.Second, time.Second},
		{time.Second, time.Second},
	} {
		inBubble(t, func(t *testing.T, server, _ *Conn) {
			start := time.Now()
			require.NoError(t, server.SetReadDeadline(start.Add(d[0])))
			require.NoError(t, server.SetWriteDeadline(start.Add(d[1])))
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, err := server.Read(make([]byte, 1))
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.Equal(t, d[0], time.Since(start))
			}()
			n, err := server.Write(make([]byte, 3000))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, 1024, n, "what fits went in")
			require.Equal(t, d[1], time.Since(start))
			var ne net.Error
			require.ErrorAs(t, err, &ne)
			require.True(t, ne.Timeout())
			<-done
		})
	}
}

// A deadline that is set, moved or taken away works on the call under way.
func TestDeadlineChanges(t *testing.T) {
	inBubble(t, func(t *testing.T, server, client *Conn) {
		start := time.Now()
		read := func() <-chan time.Duration {
			c := make(chan time.Duration, 1)
			go func() {
				_, err := server.Read(make([]byte, 1))
				if err != nil {
					require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				}
				c <- time.Since(start)
			}()
			synctest.Wait()
			return c
		}
		set := func(d time.Duration) { require.NoError(t, server.SetReadDeadline(start.Add(d))) }

		c := read() // none, then one
		set(time.Second)
		require.Equal(t, time.Second, <-c)
		c = read() // in the past already
		require.Equal(t, time.Second, <-c)
		set(5 * time.Second)
		c = read() // shortened
		set(2 * time.Second)
		require.Equal(t, 2*time.Second, <-c)
		set(3 * time.Second)
		c = read() // lengthened
		set(6 * time.Second)
		require.Equal(t, 6*time.Second, <-c)
		set(7 * time.Second)
		c = read() // taken away
		require.NoError(t, server.SetDeadline(time.Time{}))
		time.Sleep(time.Minute)
		synctest.Wait()
		_, err := client.Write([]byte("x"))
		require.NoError(t, err)
		require.Equal(t, time.Minute+6*time.Second, <-c)

		// Data does not win over a deadline that is past, but is not lost.
		_, err = client.Write([]byte("y"))
		require.NoError(t, err)
		set(0)
		_, err = server.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, server.SetReadDeadline(time.Time{}))
		b := make([]byte, 1)
		_, err = server.Read(b)
		require.NoError(t, err)
		require.Equal(t, "y", string(b))
	})
}

// The follower's deadline is kept when the leader leaves first, and a deadline
// of the other direction does not disturb a sleeper.
func TestLeadershipIsHandedOver(t *testing.T) {
	inBubble(t, func(t *testing.T, server, client *Conn) {
		start := time.Now()
		readDone := make(chan error, 1)
		go func() { _, err := server.Read(make([]byte, 1)); readDone <- err }()
		synctest.Wait() // the reader leads
		require.NoError(t, server.SetWriteDeadline(start.Add(time.Hour)))
		writeDone := make(chan error, 1)
		go func() { _, err := server.Write(make([]byte, 2000)); writeDone <- err }()
		synctest.Wait() // the writer follows
		_, err := client.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, <-readDone)
		synctest.Wait() // the writer leads
		_, err = io.ReadFull(client, make([]byte, 2000))
		require.NoError(t, err)
		require.NoError(t, <-writeDone)
		require.Zero(t, time.Since(start))
	})
}
