//go:build lab && linux

package lab

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// patient bounds each wait for something that comes by itself.
const patient = 2 * time.Minute

// runner is where commands run: a *xen.Dom0, a xen.Place, a follower.
type runner interface {
	Run(ctx context.Context, argv ...string) (string, error)
}

// run runs a command that must end well, and gives what it printed.
func run(t *testing.T, p runner, argv ...string) string {
	t.Helper()
	out, err := p.Run(t.Context(), argv...)
	require.NoError(t, err)
	return out
}

// shell is run for a script.
func shell(t *testing.T, p runner, script string) string {
	t.Helper()
	return run(t, p, "/bin/sh", "-c", script)
}

// start starts a guest and waits until its agent answers.
func start(t *testing.T, d *xen.Dom0, c xen.GuestConfig) xen.Place {
	t.Helper()
	p, err := d.Start(t.Context(), c)
	require.NoError(t, err)
	return p
}

// destroy ends a guest without asking it.
func destroy(t *testing.T, d *xen.Dom0, name string) {
	t.Helper()
	run(t, d, "xl", "destroy", name)
}

// number is what a command prints.
func number[T any](t *testing.T, p runner, argv ...string) (n T) {
	t.Helper()
	_, err := fmt.Sscan(run(t, p, argv...), &n)
	require.NoError(t, err)
	return n
}

func domid(t *testing.T, d *xen.Dom0, name string) uint16 {
	t.Helper()
	return number[uint16](t, d, "xl", "domid", name)
}

// unpause lets a guest run; since is when it began to, by dom0's clock.
func unpause(t *testing.T, d *xen.Dom0, name string) (since time.Time) {
	t.Helper()
	return time.Unix(0, number[int64](t, d, "probe", "unpause", fmt.Sprint(domid(t, d, name))))
}

// poll asks until there is no error.
func poll(t *testing.T, what string, f func() error) {
	t.Helper()
	for end := time.Now().Add(patient); ; time.Sleep(500 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s: %v", patient, what, err)
		}
	}
}

// onFailure logs what a script prints in dom0, should the test fail.
func onFailure(t *testing.T, d *xen.Dom0, script string) {
	t.Cleanup(func() {
		if t.Failed() {
			out, err := d.Shell(context.WithoutCancel(t.Context()), script)
			t.Logf("dom0 (%v):\n%s", err, out)
		}
	})
}

// Sizes of what scenarios write into dom0's /tmp, which is memory: several
// times what was seen, bytes.
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
	run(t, d, "xl", "save", name, file)
	return file
}

// packed makes an initramfs in dom0 of what a script does in an empty
// directory.
func packed(t *testing.T, d *xen.Dom0, name, script string) string {
	root, file := bigFile(t, d, name, imageRoom), bigFile(t, d, name+".img", imageRoom)
	shell(t, d, "mkdir -p "+root+"/dev && cd "+root+" && mknod dev/console c 5 1 && "+script+
		" && find . | cpio -H newc -o > "+file+" && rm -r "+root)
	return file
}
