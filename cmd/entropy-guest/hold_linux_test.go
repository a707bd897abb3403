package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A holder has the files open for as long as it lives, no matter what it is
// asked; a later one takes its place.
func TestHolder(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, startHolder([]*os.File{w}))
	first := holder.cmd
	ended := make(chan error, 1)
	require.NoError(t, startHolder([]*os.File{w}))
	require.NotNil(t, first.ProcessState, "the first one is not needed any more")
	second := holder.cmd
	t.Cleanup(func() { _ = second.Process.Kill() })
	require.NoError(t, w.Close())

	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", second.Process.Pid))
	require.NoError(t, err)
	require.Equal(t, "@entropy-guest\x00hold\x00", string(name))
	// It may not have come to ignoring signals yet.
	ignored := func() bool { return ignores(t, second.Process.Pid, unix.SIGTERM) }
	require.Eventually(t, ignored, patience, time.Millisecond)
	require.NoError(t, second.Process.Signal(unix.SIGTERM))
	require.NoError(t, second.Process.Signal(unix.SIGHUP))
	go func() {
		_, err := r.Read(make([]byte, 1)) // until the last writer is gone
		ended <- err
	}()
	require.NoError(t, syscall.Kill(second.Process.Pid, 0))
	select {
	case <-ended:
		t.Fatal("it has closed the file")
	default:
	}
	require.NoError(t, second.Process.Kill())
	require.Error(t, second.Wait())
	<-ended
	holder.cmd = nil
}

// ignores says whether a process ignores a signal (proc_pid_status(5)).
func ignores(t *testing.T, pid int, s syscall.Signal) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if mask, ok := strings.CutPrefix(line, "SigIgn:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			require.NoError(t, err)
			return n&(1<<(s-1)) != 0
		}
	}
	return false
}

// A process that has lost a thread ends with a status that a service manager
// takes for a failure.
func TestEndWhenLost(t *testing.T) {
	lost, status := make(chan struct{}), make(chan int, 1)
	go endWhenLost(lost, func(code int) { status <- code })
	select {
	case <-status:
		t.Fatal("nothing was lost")
	default:
	}
	close(lost)
	require.Equal(t, exitLost, <-status)
	require.NotZero(t, exitLost)
}
