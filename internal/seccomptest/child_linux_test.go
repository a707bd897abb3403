package seccomptest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestChild(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
		t.Run(errno.Error(), func(t *testing.T) {
			parent := os.Getpid()
			if !Child(t, errno, unix.SYS_GETPGID, unix.SYS_GETRANDOM) {
				_, err := unix.Getpgid(parent)
				assert.NoError(t, err, "the parent is as it was")
				return
			}
			_, err := unix.Getpgid(0)
			require.ErrorIs(t, err, errno)
			done := make(chan error)
			go func() { // in another thread, most likely
				_, err := unix.Getrandom(make([]byte, 8), 0)
				done <- err
			}()
			require.ErrorIs(t, <-done, errno)
			_, err = unix.Getsid(0)
			require.NoError(t, err, "no other call fails")
		})
	}
}
