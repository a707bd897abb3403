//go:build lab && linux

package lab

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Sizes of what scenarios write into dom0's /tmp, which is memory: several times
// what was seen, bytes.
const (
	saveRoom  = 280 << 20 // a saved guest of the usual 256 MiB
	imageRoom = 32 << 20  // an initramfs with one program
)

// removeLimit bounds the removal of a file at the end of a test.
const removeLimit = time.Minute

// bigFile names a file below dom0's /tmp that a test is about to write. Where
// there is no room for it the test ends, and says what takes the room. When the
// test ends, well or not, the file is removed, be it whole, half or not there.
func bigFile(t *testing.T, d *xen.Dom0, name string, room int64) string {
	path, err := d.Scratch(t.Context(), name, room)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), removeLimit)
		defer cancel()
		_, err := d.Run(ctx, "rm", "-rf", path)
		assert.NoError(t, err)
	})
	return path
}

// saved saves a guest into a file that goes with the test, and gives its path.
func saved(t *testing.T, d *xen.Dom0, name string) string {
	file := bigFile(t, d, name+".save", saveRoom)
	require.NoError(t, d.Save(t.Context(), name, file))
	return file
}

// packed makes an initramfs in dom0 of what a script does in an empty directory.
func packed(t *testing.T, d *xen.Dom0, name, script string) string {
	root, file := bigFile(t, d, name, imageRoom), bigFile(t, d, name+".img", imageRoom)
	shell(t, d, "mkdir -p "+root+"/dev && cd "+root+" && mknod dev/console c 5 1 && "+script+
		" && find . | cpio -H newc -o > "+file+" && rm -r "+root)
	return file
}
