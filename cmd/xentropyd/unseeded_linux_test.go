package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host/control"
)

// noBlockingGetrandom is a filter for seccomp(2) that kills who calls getrandom
// without GRND_NONBLOCK or GRND_INSECURE: on a kernel that has no seed yet such
// a call waits, at a small board's start for ever.
func noBlockingGetrandom() []unix.SockFilter {
	flags := uint32(seccompArgs + 2*8) // of the third argument; its low half
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		flags += 4
	}
	load, jumpIf, jumpIfSet, end := uint16(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS),
		uint16(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K), uint16(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K),
		uint16(unix.BPF_RET|unix.BPF_K)
	return []unix.SockFilter{
		{Code: load, K: seccompNr},
		{Code: jumpIf, K: unix.SYS_GETRANDOM, Jf: 3},
		{Code: load, K: flags},
		{Code: jumpIfSet, K: unix.GRND_NONBLOCK | unix.GRND_INSECURE, Jt: 1},
		{Code: end, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: end, K: unix.SECCOMP_RET_ALLOW},
	}
}

// Where struct seccomp_data (linux/seccomp.h) has the call's number, of 32
// bits, and its six arguments, of 64.
const (
	seccompNr   = 0
	seccompArgs = 16
)

// startFiltered starts a command under a filter. That is a matter of the thread
// that starts it: it is used up by this.
func startFiltered(c *exec.Cmd, filter []unix.SockFilter, then func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- func() error {
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				return fmt.Errorf("give up new privileges: %w", err)
			}
			program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
			if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0,
				uintptr(unsafe.Pointer(&program))); errno != 0 {
				return fmt.Errorf("put the filter in place: %w", errno)
			}
			if err := c.Start(); err != nil {
				return err
			}
			return then()
		}()
	}()
	return <-done
}

// withoutSeed makes a command whose process finds a kernel without a seed: it
// dies if it waits for one.
func withoutSeed(t *testing.T, c *exec.Cmd) {
	t.Helper()
	then := hideVDSO(t, c)
	if err := startFiltered(c, noBlockingGetrandom(), then); err != nil {
		t.Skipf("a filter of system calls is needed (CONFIG_SECCOMP_FILTER, no sandbox around the test): %v", err)
	}
}

// TestStartsWithoutTheKernelsSeed: nothing from the process's start to a served
// guest waits for the kernel's generator.
func TestStartsWithoutTheKernelsSeed(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "xentropyd-test-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	c := config.UserDefault(dir, dir)
	file := filepath.Join(dir, "x.toml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "listen = [%q]\ncontrol = %q\nseed_file = %q\n", c.Listen[0],
		c.Control, c.SeedFile), 0o600))
	var log bytes.Buffer
	d := exec.Command("/proc/self/exe", "run", "--config", file)
	d.Args[0] = "xentropyd"
	d.Stdout, d.Stderr = &log, &log
	withoutSeed(t, d)
	ended := make(chan error, 1)
	go func() { ended <- d.Wait() }()
	for seeded := false; !seeded; {
		s, err := control.Dial(c.Control).Status(t.Context())
		seeded = err == nil && s.Entropy.Seeded
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v (signal %d is what the filter sends)\n%s", err, unix.SIGSYS, log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	status := exec.Command("/proc/self/exe", "status", "--check", "--control", c.Control)
	status.Args[0] = "xentropyd"
	withoutSeed(t, status)
	require.NoError(t, status.Wait(), "nor does a command wait")
	require.NoError(t, d.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-ended, log.String())
}

// TestFilterKills: the test above can fail.
func TestFilterKills(t *testing.T) {
	c := exec.Command("/proc/self/exe", "-test.run", "^TestWaitForTheKernelsSeed$")
	c.Env = append(os.Environ(), waitForSeed+"=1")
	withoutSeed(t, c)
	err := c.Wait()
	require.Error(t, err)
	require.Equal(t, unix.SIGSYS, c.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

const waitForSeed = "XENTROPYD_TEST_WAIT_FOR_SEED"

// TestWaitForTheKernelsSeed is what TestFilterKills runs.
func TestWaitForTheKernelsSeed(t *testing.T) {
	if os.Getenv(waitForSeed) == "" {
		t.Skip("run by TestFilterKills")
	}
	_, _ = unix.Getrandom(make([]byte, 8), 0)
}
