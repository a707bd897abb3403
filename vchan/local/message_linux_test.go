package local

import (
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzRights parses arbitrary control messages; nothing is closed here.
func FuzzRights(f *testing.F) {
	f.Add(unix.UnixRights(3, 4, 5))
	f.Add(append(unix.UnixRights(3), unix.UnixRights(4, 5)...))
	f.Add(unix.UnixRights(3, 4, 5)[:20])
	f.Add([]byte{16, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, oob []byte) {
		fds, err := rights(oob)
		if err == nil && 4*len(fds) > len(oob) {
			t.Fatal("more descriptors than bytes")
		}
	})
}
