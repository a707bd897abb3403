package xenstore

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDeviceErrors: what the kernel says of one request is told from what it
// says of the device.
func TestDeviceErrors(t *testing.T) {
	wrap := func(e syscall.Errno) error {
		return fmt.Errorf("write: %w", &os.PathError{Op: "write", Path: DevicePath, Err: e})
	}
	for errno, want := range errnos {
		name, ok := device{}.requestError(wrap(errno))
		require.True(t, ok, errno)
		require.Equal(t, want, name)
	}
	for _, err := range []error{wrap(syscall.EBADF), wrap(syscall.EIO), wrap(syscall.ENODEV), io.ErrClosedPipe} {
		_, ok := device{}.requestError(err)
		require.False(t, ok, err)
	}
	// struct xenbus_file_priv buffers XENSTORE_PAYLOAD_MAX bytes, header and
	// all.
	require.Equal(t, 4080, device{}.MaxPayload())
	require.True(t, device{}.OneAtATime())
}

// TestDialDevice opens any character device as one: this one answers nothing.
func TestDialDevice(t *testing.T) {
	rwc, err := DialAddress(t.Context(), "/dev/null")
	require.NoError(t, err)
	require.IsType(t, device{}, rwc)
	c := New(rwc)
	_, err = c.Read(t.Context(), "/a")
	require.ErrorIs(t, err, ErrDisconnected)
	require.NoError(t, c.Close())
	_, err = DialAddress(t.Context(), "/dev/no-such-device")
	require.ErrorIs(t, err, os.ErrNotExist)
}
