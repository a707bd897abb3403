package othertest

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// As runs f on a thread that is another user's, without root's capabilities,
// and waits for it. Where the process is not root's the test is skipped. f must
// not start anything that outlives it.
func As(t testing.TB, uid, gid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("acts as another user: run it as root")
	}
	done := make(chan error, 1)
	go func() {
		defer close(done)      // also when a test's failure ends f
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		// The system calls change the calling thread alone (nptl(7)).
		var errno unix.Errno
		for _, call := range [][4]uintptr{
			{unix.SYS_SETGROUPS, 0, 0, 0},
			{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
			{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
		} {
			if _, _, errno = unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				done <- errno
				return
			}
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Fatalf("become user %d: %v", uid, err)
	}
}
