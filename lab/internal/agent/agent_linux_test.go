package agent

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lossy drops some of the messages that are written to it.
type lossy struct {
	io.ReadWriteCloser
	mu   sync.Mutex
	n    int
	drop func(n int, message []byte) bool
}

func (l *lossy) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.n++
	drop := l.drop != nil && l.drop(l.n, p)
	l.mu.Unlock()
	if drop {
		return len(p), nil
	}
	return l.ReadWriteCloser.Write(p)
}

// pair connects a client with a server.
func pair(t *testing.T, drop func(int, []byte) bool) *Client {
	t.Helper()
	outside, inside := net.Pipe()
	server := NewServer(NewWriter(&lossy{ReadWriteCloser: inside, drop: drop}), nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r := NewReader(inside); ; {
			m, err := r.Read()
			if err != nil {
				return
			}
			server.Handle(m)
		}
	}()
	c := NewClient(outside, io.Discard)
	c.repeat = 100 * time.Millisecond
	t.Cleanup(func() {
		outside.Close()
		inside.Close()
		c.Wait()
		<-done
	})
	return c
}

func sh(script string) Command { return Command{Argv: []string{"/bin/sh", "-c", script}} }

func TestExec(t *testing.T) {
	c := pair(t, nil)
	require.NoError(t, c.Hello(t.Context(), ""))

	r, err := c.Exec(t.Context(), "", sh("echo out; echo err >&2; exit 3"))
	require.NoError(t, err)
	require.Equal(t, 3, r.Code)
	require.Equal(t, "out\nerr\n", string(r.Output))
	require.Zero(t, r.Lost)

	r, err = c.Exec(t.Context(), "", Command{
		Argv: []string{"/bin/sh", "-c", `cat; echo "$V"; pwd`}, Env: []string{"V=value"}, Dir: "/",
		Stdin: bytes.Repeat([]byte("0123456789"), 2000),
	})
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("0123456789", 2000)+"value\n/\n", string(r.Output))

	r, err = c.Exec(t.Context(), "", sh("kill -9 $$"))
	require.NoError(t, err)
	require.Equal(t, 128+9, r.Code)

	_, err = c.Exec(t.Context(), "", Command{Argv: []string{"/not-there"}})
	require.ErrorContains(t, err, "no such file")
	_, err = c.Exec(t.Context(), "", Command{})
	require.ErrorContains(t, err, "no command")
	_, err = c.Exec(t.Context(), "", Command{Argv: []string{"true"}, Stdin: make([]byte, MaxInput+1)})
	require.ErrorContains(t, err, "at most")
}

// A child that stays and keeps the output open does not hold up the result.
func TestExecBackground(t *testing.T) {
	r, err := pair(t, nil).Exec(t.Context(), "", sh("sleep 30 & echo started $!"))
	require.NoError(t, err)
	require.Contains(t, string(r.Output), "started")
}

func TestExecCancelled(t *testing.T) {
	c := pair(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	file := t.TempDir() + "/pid"
	go func() {
		defer cancel()
		for b := []byte(nil); len(b) == 0; time.Sleep(time.Millisecond) {
			b, _ = os.ReadFile(file)
		}
	}()
	_, err := c.Exec(ctx, "", sh("echo $$ >"+file+"; exec sleep 1000"))
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool {
		r, err := c.Exec(t.Context(), "", sh("kill -0 $(cat "+file+")"))
		return err == nil && r.Code != 0
	}, 20*time.Second, 50*time.Millisecond, "the command lives on")
}

// The first answers get lost: the request goes out again, and the command has
// run once.
func TestExecLost(t *testing.T) {
	file := t.TempDir() + "/ran"
	c := pair(t, func(n int, _ []byte) bool { return n <= 3 })
	r, err := c.Exec(t.Context(), "", sh("echo ran >>"+file+"; echo one; exit 4"))
	require.NoError(t, err)
	require.Equal(t, 4, r.Code)
	require.Equal(t, 1, r.Lost)
	r, err = c.Exec(t.Context(), "", Command{Argv: []string{"cat", file}})
	require.NoError(t, err)
	require.Equal(t, "ran\n", string(r.Output))
}

// A machine that was started anew does not run again what its forerunner had
// begun.
func TestExecRestarted(t *testing.T) {
	var out bytes.Buffer
	NewServer(NewWriter(&out), nil).Handle(Message{Op: OpExec, ID: 1, Argv: []string{"true"}, Boot: "another"})
	m, err := NewReader(&out).Read()
	require.NoError(t, err)
	require.Equal(t, OpExit, m.Op)
	require.Contains(t, m.Error, "anew")
}

func TestClosed(t *testing.T) {
	outside, inside := net.Pipe()
	c := NewClient(outside, io.Discard)
	inside.Close()
	c.Wait()
	require.ErrorIs(t, c.Hello(t.Context(), ""), errClosed)
	_, err := c.Exec(t.Context(), "", sh("true"))
	require.ErrorIs(t, err, errClosed)
}

func TestForward(t *testing.T) {
	var out bytes.Buffer
	var got Message
	s := NewServer(NewWriter(&out), func(m Message) { got = m })
	s.Handle(Message{Op: OpExec, ID: 5, Place: "guest", Argv: []string{"true"}})
	require.Equal(t, "guest", got.Place)
	require.Zero(t, out.Len())
}
