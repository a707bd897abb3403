package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBootDoesNotWaitForNoise: a host without any holds nobody up for longer
// than readyWait.
func TestBootDoesNotWaitForNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, seeded := time.Now(), make(chan struct{})
		assert.Equal(t, notSeeded, awaitSeed(t.Context(), seeded))
		assert.Equal(t, readyWait, time.Since(begin))
		go func() { time.Sleep(readyWait - 1); close(seeded) }()
		assert.Equal(t, isSeeded, awaitSeed(t.Context(), seeded))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.Equal(t, stopped, awaitSeed(ctx, nil))
	})
}

// TestSystemdIsTold plays the service manager: READY after the start, the
// watchdog's pings, STOPPING at the end.
func TestSystemdIsTold(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "xentropyd-test-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	require.NoError(t, err)
	defer manager.Close()
	next := func() string {
		b := make([]byte, 1024)
		n, err := manager.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
	cmd := exec.Command("xentropyd", "run")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=60000")
	config := filepath.Join(dir, "x.toml")
	require.NoError(t, os.WriteFile(config,
		[]byte("listen = ['local:"+dir+"/l']\ncontrol = '"+dir+"/c'\nseed_file = ''\n"), 0o600))
	cmd.Args = append(cmd.Args, "--config", config)
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()

	assert.Equal(t, "READY=1\nSTATUS=seeded and serving", next())
	for range 3 {
		assert.Equal(t, "WATCHDOG=1", next())
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	said := next()
	for said == "WATCHDOG=1" {
		said = next()
	}
	assert.Equal(t, "STOPPING=1", said)
	require.NoError(t, cmd.Wait())
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	assert.Equal(t, "notify x.toml", strings.Join(names, " "), "no seed file, no sockets")
}
