package snapshot

import (
	"os"
	"testing"
	"time"
)

// TestRestored waits while somebody saves and restores the machine, and says
// what the first call afterwards gave. A wall clock that jumped between two
// calls without the counter having changed is a failure.
func TestRestored(t *testing.T) {
	limit, err := time.ParseDuration(os.Getenv("XENTROPYD_RESTORE"))
	if err != nil {
		t.Skip("needs a machine that is saved and restored meanwhile: " +
			"in a Xen guest set XENTROPYD_RESTORE=60s, then xl save and xl restore it")
	}
	d := New(Options{})
	t.Logf("watching for %v, VMClock: %v", limit, d.HasVMClock())
	begin := time.Now()
	last, count, calls, changes, saw := begin, d.Generation(), 0, 0, false
	for time.Since(begin) < limit {
		before := time.Now()
		next := d.Generation()
		calls++
		away := before.Round(0).Sub(last.Round(0)) - before.Sub(last) // Round(0) takes the monotonic reading off
		if next == count {
			if away > time.Second && !saw { // else the restore came during the call before, which saw it
				t.Errorf("the wall clock went %v ahead of the monotonic one, "+
					"and the call right after it saw nothing", away)
			}
		} else {
			changes++
			t.Logf("call %d saw a restore: away %v by the clocks, %v after the call before",
				calls, away, before.Sub(last))
		}
		last, count, saw = before, next, next != count
	}
	t.Logf("%d calls, %d changes", calls, changes)
	if changes == 0 {
		t.Error("no restore was seen")
	}
}
