package hwrng

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/source"
)

// fifo is a device that gives nothing until somebody writes.
func fifo(t *testing.T) (string, *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hwrng")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	// Open for both, so that neither side waits for the other or sees its end.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return path, f
}

// A device that blocks does not keep Sample from returning when its context is
// done, nor when it is closed, and works afterwards.
func TestBlockingDevice(t *testing.T) {
	path, w := fifo(t)
	d, err := Open(path, "")
	require.NoError(t, err)
	dst := make([]byte, 16)

	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := d.Sample(ctx, dst)
		result <- err
	}()
	time.Sleep(10 * time.Millisecond) // most likely it waits in read(2) by now
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	_, err = d.Sample(ctx, dst)
	require.ErrorIs(t, err, context.Canceled)

	_, err = w.WriteString("noise")
	require.NoError(t, err)
	n, err := d.Sample(t.Context(), dst)
	require.NoError(t, err)
	require.Equal(t, "noise", string(dst[:n]))

	go func() {
		_, err := d.Sample(t.Context(), dst)
		result <- err
	}()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-result, source.ErrClosed)
}

// No file stays open, however often a device fails.
func TestNoLeak(t *testing.T) {
	path := write(t, "hwrng", "x")
	before := openFiles(t)
	d, err := Open(path, "")
	require.NoError(t, err)
	for range 100 {
		_, _ = d.Sample(t.Context(), make([]byte, 8))
	}
	require.NoError(t, d.Close())
	require.Equal(t, before, openFiles(t))
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(list)
}

// The generator of this machine, through the health tests.
func TestDeviceOfThisMachine(t *testing.T) {
	f := Probe()
	if f.Source == nil {
		t.Skipf("needs a generator behind %s, as root: modprobe virtio_rng, or run QEMU with -device virtio-rng-pci: %v", DefaultDevice, f.Err)
	}
	t.Log(f.Info.Description)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	h := source.NewHarvester([]source.Source{f.Source}, func(b source.Batch) {
		assert.Equal(t, source.NameHWRNG, b.Info.Name)
		cancel()
	})
	require.NoError(t, h.Run(ctx))
	s := h.Status()[0]
	t.Logf("%d samples at %.0f B/s, %v", s.Samples, s.BytesPerSecond, s.Failures)
	require.True(t, s.Healthy, "%+v", s)
}
