package hwrng

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/source"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestAbsent(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(filepath.Join(dir, "hwrng"), filepath.Join(dir, "rng_current"))
	require.ErrorIs(t, err, source.ErrAbsent)
	require.ErrorContains(t, err, "virtio-rng")

	// The device node is there, but the kernel has no generator behind it.
	_, err = Open(write(t, "hwrng", "data"), write(t, "rng_current", "none\n"))
	require.ErrorIs(t, err, source.ErrAbsent)
	require.ErrorContains(t, err, "no generator")
}

func TestInfo(t *testing.T) {
	d, err := Open(write(t, "hwrng", "data"), write(t, "rng_current", "virtio_rng.0\n"))
	require.NoError(t, err)
	defer d.Close()
	assert.Equal(t, "hwrng", d.Info().Name)
	assert.Equal(t, source.IDHWRNG, d.Info().ID)
	assert.True(t, d.Info().Credited)
	assert.Contains(t, d.Info().Description, "virtio_rng.0")
	assert.Equal(t, 1, d.Info().SampleBytes)
}

// A device that ends is an error; the next call opens it again.
func TestEndAndAgain(t *testing.T) {
	path := write(t, "hwrng", "0123456789")
	d, err := Open(path, "")
	require.NoError(t, err)
	dst := make([]byte, 6)
	for _, want := range []string{"012345", "6789"} {
		n, err := d.Sample(t.Context(), dst)
		require.NoError(t, err)
		require.Equal(t, want, string(dst[:n]))
	}
	_, err = d.Sample(t.Context(), dst)
	require.ErrorContains(t, err, "no more data")
	n, err := d.Sample(t.Context(), dst)
	require.NoError(t, err)
	require.Equal(t, "012345", string(dst[:n]), "opened again")

	require.NoError(t, os.Remove(path))
	_, err = d.Sample(t.Context(), dst)
	require.NoError(t, err)
	_, err = d.Sample(t.Context(), dst)
	require.Error(t, err)
	_, err = d.Sample(t.Context(), dst)
	require.ErrorIs(t, err, source.ErrAbsent, "gone")
	require.NoError(t, os.WriteFile(path, []byte("back"), 0o600))
	n, err = d.Sample(t.Context(), dst)
	require.NoError(t, err)
	require.Equal(t, "back", string(dst[:n]))
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	_, err = d.Sample(t.Context(), dst)
	require.ErrorIs(t, err, source.ErrClosed)
}

func TestNothingAsked(t *testing.T) {
	d, err := Open(write(t, "hwrng", "data"), "")
	require.NoError(t, err)
	defer d.Close()
	n, err := d.Sample(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestExplain(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENODEV: "unplugged",
		syscall.EIO:    "fault",
		os.ErrClosed:   "closed",
	} {
		got := explain(&os.PathError{Op: "read", Path: "/dev/hwrng", Err: err})
		require.ErrorIs(t, got, err)
		require.ErrorContains(t, got, want)
	}
	other := errors.New("other")
	require.Equal(t, other, explain(other))
}
