package demo

import (
	"io"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestChildDiesWithItsSpawner: the kernel kills it when the thread ends that started it, as when the demo is killed.
func TestChildDiesWithItsSpawner(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	s := newSpawner()
	c, err := s.spawn(sleep, func(r io.Reader) { io.Copy(io.Discard, r) }, "10")
	require.NoError(t, err)
	s.close()
	<-c.ended
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	assert.Equal(t, syscall.SIGKILL, status.Signal())
}
