package seccomptest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
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
// Whatever needs such a call and takes no failure dies in the child: crypto/rand
// ends a process without getrandom.
func Child(t *testing.T, errno unix.Errno, calls ...uintptr) bool {
	t.Helper()
	if os.Getenv(childVariable) == t.Name() {
		if err := filter(errno, calls); err != nil {
			t.Skipf("needs a kernel with CONFIG_SECCOMP_FILTER: %v", err)
		}
		for _, c := range calls {
			if _, _, got := unix.Syscall(c, 0, 0, 0); got != errno {
				t.Fatalf("system call %d gave %v in spite of the filter", c, got)
			}
		}
		return true
	}
	var parts []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := exec.Command(os.Args[0], "-test.run="+strings.Join(parts, "/"), "-test.v", "-test.count=1", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), childVariable+"="+t.Name())
	out, err := cmd.CombinedOutput()
	switch {
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name())):
		t.Skipf("the child skipped it:\n%s", out)
	case err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Fatalf("in the child: %v\n%s", err, out)
	}
	return false
}

// filter makes calls fail in all threads of this process, for good: seccomp(2),
// and linux/filter.h for the program.
func filter(errno unix.Errno, calls []uintptr) error {
	const atNumber = 0 // offset of nr in struct seccomp_data
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: atNumber}}
	for _, c := range calls {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(c)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	p := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl(PR_SET_NO_NEW_PRIVS): %w", err)
	}
	thread, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&p)))
	runtime.KeepAlive(program)
	switch {
	case err != 0:
		return fmt.Errorf("seccomp(SECCOMP_SET_MODE_FILTER): %w", err)
	case thread != 0:
		return fmt.Errorf("seccomp(SECCOMP_SET_MODE_FILTER): thread %d could not follow", thread)
	}
	return nil
}
