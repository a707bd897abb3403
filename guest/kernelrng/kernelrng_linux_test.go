package kernelrng

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/getrandom"
	"github.com/xentropyd/xentropyd/internal/seccomptest"
)

// The numbers of linux/random.h on architectures with the generic ioctl
// encoding (asm-generic/ioctl.h), 32 and 64 bits alike: they name the size of
// two ints.
func TestRequestNumbers(t *testing.T) {
	if strings.HasPrefix(runtime.GOARCH, "mips") || strings.HasPrefix(runtime.GOARCH, "ppc") {
		t.Skip("encodes ioctl directions in its own way")
	}
	require.EqualValues(t, 0x40085203, unix.RNDADDENTROPY)
	require.EqualValues(t, 0x5207, unix.RNDRESEEDCRNG)
}

func TestPoolInfoLayout(t *testing.T) {
	info := poolInfo([]byte{1, 2, 3}, 0x0102)
	require.Len(t, info, 11)
	if runtime.GOARCH == "amd64" || strings.HasPrefix(runtime.GOARCH, "arm") {
		require.Equal(t, []byte{2, 1, 0, 0, 3, 0, 0, 0, 1, 2, 3}, info)
	}
}

func TestReseedError(t *testing.T) {
	require.NoError(t, reseedError(nil))
	require.ErrorIs(t, reseedError(fmt.Errorf("ioctl: %w", unix.ENODATA)), errNeverSeeded)
	require.ErrorIs(t, reseedError(unix.EPERM), fs.ErrPermission)
}

func openKernel(t *testing.T) *RNG {
	t.Helper()
	r, err := Open()
	var privilege *PrivilegeError
	if errors.As(err, &privilege) {
		t.Skipf("%v; to run this test: sudo go test ./internal/kernelrng", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func TestRealKernel(t *testing.T) {
	r := openKernel(t)
	seed := make([]byte, 32)
	rand.Read(seed)
	credited, err := r.Seed(seed, 300)
	require.NoError(t, err)
	require.Equal(t, 256, credited)
	_, err = r.Seed(seed, 0) // a degraded host's
	require.NoError(t, err)
	ready, err := Ready()
	require.NoError(t, err)
	require.True(t, ready)
	bits, err := EntropyAvail()
	require.NoError(t, err)
	require.Positive(t, bits)
}

// The kernel itself must reject a struct whose size names more bytes than it
// can read: proof that it reads the field where we write it.
func TestRealKernelReadsTheSize(t *testing.T) {
	d := openKernel(t).dev
	const page = 4096
	two, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(two)) }()
	require.NoError(t, unix.Mprotect(two[page:], unix.PROT_NONE))

	end := two[page-offsetData-32 : page]
	copy(end, poolInfo(make([]byte, 32), 0))
	require.NoError(t, d.add(end))
	end[offsetSize]++ // 33 bytes, the last of them unreadable
	require.ErrorIs(t, d.add(end), unix.EFAULT)
	copy(end, poolInfo(make([]byte, 32), -1))
	require.ErrorIs(t, d.add(end), unix.EINVAL, "a negative count")
}

func TestRealKernelNoPrivilege(t *testing.T) {
	if os.Geteuid() != 0 {
		_, err := Open()
		var privilege *PrivilegeError
		if err == nil {
			t.Skip("this user has CAP_SYS_ADMIN")
		}
		require.ErrorAs(t, err, &privilege)
		return
	}
	// Capabilities belong to the thread: it is given up with the goroutine,
	// which never unlocks it.
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			done <- err
			return
		}
		_, err := Open()
		done <- err
	}()
	err := <-done
	var privilege *PrivilegeError
	require.ErrorAs(t, err, &privilege)
}

func TestNoDescriptorLeak(t *testing.T) {
	openKernel(t)
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(d)
	}
	before := count()
	for range 20 {
		r, err := Open()
		require.NoError(t, err)
		require.NoError(t, r.Close())
	}
	require.Equal(t, before, count())
}

// TestReadyDoesNotWait: under a filter that never answers there is an error,
// and no end of a program.
func TestReadyDoesNotWait(t *testing.T) {
	if !seccomptest.SilentChild(t, unix.SYS_GETRANDOM) {
		return
	}
	ready, err := Ready()
	require.ErrorIs(t, err, getrandom.ErrNoAnswer)
	require.False(t, ready)
}
