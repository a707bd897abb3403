// Package leaktest fails tests that leave goroutines, file descriptors or other
// things behind: [Check].
package leaktest

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// patience is how long what is about to end may take: machines are busy.
const patience = time.Minute

// Also is something else that is counted.
type Also struct {
	What  string
	Count func() int
}

// Check counts now, and at the end of the test fails it when more is left,
// after a patient while.
func Check(t testing.TB, also ...Also) {
	t.Helper()
	if r, w, err := os.Pipe(); err == nil { // the poller's own descriptors come with the first use
		_, _ = r.Close(), w.Close()
	}
	before := look(also)
	t.Cleanup(func() {
		after := look(also)
		for end := time.Now().Add(patience); after.more(before) && time.Now().Before(end); after = look(also) {
			time.Sleep(10 * time.Millisecond)
		}
		if after.more(before) {
			buf := make([]byte, 1<<16)
			t.Errorf("left behind: %v; before: %v\n%s", after, before, buf[:runtime.Stack(buf, true)])
		}
	})
}

// Mappings counts mappings of this process whose name has a text in it.
func Mappings(name string) Also {
	return Also{"mappings of " + name, func() int {
		b, _ := os.ReadFile("/proc/self/maps")
		return bytes.Count(b, []byte(name))
	}}
}

// count is what there is.
type count struct {
	goroutines int
	files      []string
	also       []int
}

func look(also []Also) (c count) {
	c.goroutines = runtime.NumGoroutine()
	list, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range list {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			c.files = append(c.files, fd.Name()+" "+to)
		}
	}
	for _, a := range also {
		c.also = append(c.also, a.Count())
	}
	return c
}

func (c count) more(than count) bool {
	for i, n := range c.also {
		if n > than.also[i] {
			return true
		}
	}
	return c.goroutines > than.goroutines || len(c.files) > len(than.files)
}

func (c count) String() string {
	return fmt.Sprintf("%d goroutines, files %q, others %v", c.goroutines, slices.Clone(c.files), c.also)
}
