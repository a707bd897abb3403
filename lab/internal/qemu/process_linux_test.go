package qemu

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func start(t *testing.T, script string) (*Process, *os.File) {
	t.Helper()
	out, in, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { out.Close() })
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Stdout, cmd.ExtraFiles = in, []*os.File{in}
	p, err := Start(cmd)
	in.Close()
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	return p, out
}

func TestStop(t *testing.T) {
	p, out := start(t, "echo up; exec sleep 1000")
	_, err := io.ReadFull(out, make([]byte, 3))
	require.NoError(t, err)
	p.Stop()
	p.Stop()
	require.ErrorContains(t, p.Err(), "terminated")
	require.ErrorIs(t, syscall.Kill(p.cmd.Process.Pid, 0), syscall.ESRCH)
}

func TestStopStubborn(t *testing.T) {
	p, out := start(t, "trap '' TERM; echo up; while :; do sleep 0.1; done")
	_, err := io.ReadFull(out, make([]byte, 3))
	require.NoError(t, err)
	p.Stop()
	require.ErrorContains(t, p.Err(), "killed")
}

func TestEnds(t *testing.T) {
	p, out := start(t, "echo hello >&3; exit 5")
	b, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(b))
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	var exit *exec.ExitError
	require.ErrorAs(t, p.Err(), &exit)
	require.Equal(t, 5, exit.ExitCode())
	p.Stop()
}

func TestStartFails(t *testing.T) {
	_, err := Start(exec.Command("/not-there"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestPair(t *testing.T) {
	ours, theirs, err := Pair()
	require.NoError(t, err)
	defer ours.Close()
	_, err = theirs.Write([]byte("x"))
	require.NoError(t, err)
	b := make([]byte, 1)
	_, err = ours.Read(b)
	require.NoError(t, err)
	require.NoError(t, theirs.Close())
	_, err = ours.Read(b)
	require.ErrorIs(t, err, io.EOF)
}

func TestConsole(t *testing.T) {
	var log bytes.Buffer
	c := NewConsole(&log)
	for range 2 * tailLines {
		_, err := c.Write([]byte("old\r\n"))
		require.NoError(t, err)
	}
	_, err := c.Write([]byte("last\nunfin"))
	require.NoError(t, err)
	_, err = c.Write([]byte("ished"))
	require.NoError(t, err)
	tail := c.Tail()
	require.Len(t, tail, tailLines+1)
	require.Equal(t, []string{"last", "unfinished"}, tail[tailLines-1:])
	require.Equal(t, 2*tailLines+1, strings.Count(log.String(), "\n"))
	require.NotContains(t, log.String(), "\r")
}
