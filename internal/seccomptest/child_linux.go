package seccomptest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childVariable holds the name of the test that a child is to run.
const childVariable = "XENTROPYD_SECCOMP_TEST"

// Child runs the test that calls it again, in a child process in which the
// system calls with these numbers (unix.SYS_GETRANDOM) fail with errno. In that
// child it returns true, and the test goes on; in the parent it returns false
// once the child has passed, and fails the test if it has not. A kernel without
// seccomp filters skips the test.
//
// Whatever needs such a call and takes no failure dies in the child:
// crypto/rand ends a process without getrandom.
func Child(t *testing.T, errno unix.Errno, calls ...uintptr) bool {
	t.Helper()
	if !isChild(t) {
		inChild(t)
		return false
	}
	if _, err := filter(unix.SECCOMP_RET_ERRNO|uint32(errno), unix.SECCOMP_FILTER_FLAG_TSYNC, calls); err != nil {
		t.Skipf("needs a kernel with CONFIG_SECCOMP_FILTER: %v", err)
	}
	for _, c := range calls {
		if _, _, got := unix.Syscall(c, 0, 0, 0); got != errno {
			t.Fatalf("system call %d gave %v in spite of the filter", c, got)
		}
	}
	return true
}

// SilentChild is Child with calls that never return: they are passed on to a
// supervisor (SECCOMP_RET_USER_NOTIF), who does not answer. A kernel before
// Linux 5.7 skips the test.
func SilentChild(t *testing.T, calls ...uintptr) bool {
	t.Helper()
	if !isChild(t) {
		inChild(t)
		return false
	}
	const all = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	// The supervisor is this descriptor, open until the process ends.
	if _, err := filter(unix.SECCOMP_RET_USER_NOTIF, all|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, calls); err != nil {
		t.Skipf("needs Linux 5.7 with CONFIG_SECCOMP_FILTER: %v", err)
	}
	return true
}

// StartSilent starts a command whose process has calls that never return until
// the test ends. A kernel before Linux 5.0 skips the test.
func StartSilent(t *testing.T, c *exec.Cmd, calls ...uintptr) {
	t.Helper()
	var supervisor int
	var noFilter error
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, which has the filter too, ends with the goroutine
		supervisor, noFilter = filter(unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, calls)
		if noFilter != nil {
			done <- nil
			return
		}
		done <- c.Start()
	}()
	err := <-done
	if noFilter != nil {
		t.Skipf("needs Linux 5.0 with CONFIG_SECCOMP_FILTER, and no such filter around the test: %v", noFilter)
	}
	t.Cleanup(func() { unix.Close(supervisor) })
	if err != nil {
		t.Fatalf("start %v: %v", c, err)
	}
}

// Build builds the command in the current directory as it is shipped, without
// cgo, and returns its path: a C library asks getrandom before main does.
// Without a go command the test is skipped.
func Build(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "command")
	c := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+runtime.GOARCH)
	out, err := c.CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		t.Skipf("needs a go command in PATH: %v", err)
	case err != nil:
		t.Fatalf("%v: %v\n%s", c, err, out)
	}
	return path
}

func isChild(t *testing.T) bool { return os.Getenv(childVariable) == t.Name() }

// inChild runs the test in a child.
func inChild(t *testing.T) {
	t.Helper()
	var parts []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := exec.Command(os.Args[0], "-test.run="+strings.Join(parts, "/"), "-test.v",
		"-test.count=1", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), childVariable+"="+t.Name())
	out, err := cmd.CombinedOutput()
	switch {
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name())):
		t.Skipf("the child skipped it:\n%s", out)
	case err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Fatalf("in the child: %v\n%s", err, out)
	}
}

// filter makes calls have a filter's action, for good, in this thread, with
// TSYNC in all of this process: seccomp(2), and linux/filter.h for the program.
// It returns what the call did: with NEW_LISTENER the supervisor's descriptor.
func filter(action uint32, flags uintptr, calls []uintptr) (got int, err error) {
	const atNumber = 0 // offset of nr in struct seccomp_data
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: atNumber}}
	for _, c := range calls {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(c)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	p := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("prctl(PR_SET_NO_NEW_PRIVS): %w", err)
	}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&p)))
	runtime.KeepAlive(program)
	switch {
	case errno != 0:
		return 0, fmt.Errorf("seccomp(SECCOMP_SET_MODE_FILTER): %w", errno)
	case r != 0 && flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER == 0:
		return 0, fmt.Errorf("seccomp(SECCOMP_SET_MODE_FILTER): thread %d could not follow", r)
	}
	return int(r), nil
}
