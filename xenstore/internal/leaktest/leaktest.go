// Package leaktest fails tests that leave goroutines or file descriptors behind: Check.
package leaktest

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// Check counts both now, and at the end of the test fails it when goroutines or file descriptors are left,
// after a patient while.
func Check(t testing.TB) {
	t.Helper()
	goroutines, fds := runtime.NumGoroutine(), openFiles()
	t.Cleanup(func() {
		for range 500 {
			if runtime.NumGoroutine() <= goroutines && openFiles() <= fds {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines and %d files, %d and %d before\n%s", runtime.NumGoroutine(), openFiles(),
			goroutines, fds, buf[:runtime.Stack(buf, true)])
	})
}

func openFiles() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}
