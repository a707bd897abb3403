package cli

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// before is the core dump limit that Harden found.
var before atomic.Pointer[unix.Rlimit]

// Harden keeps the process's memory to itself: no core dump of it is written
// (setrlimit(2), RLIMIT_CORE), and no other process of the same user may trace
// it or read its memory (prctl(2), PR_SET_DUMPABLE). A child is free of the
// second until it asks for it.
func Harden() error {
	var found unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &found); err != nil {
		return fmt.Errorf("read the limit of core dumps: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("switch core dumps off: %w", err)
	}
	before.CompareAndSwap(nil, &found)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the process's memory unreadable to others: %w", err)
	}
	return nil
}

// Soften gives back the core dump limit that Harden found, for a program that
// this process becomes. To raise the hard limit again needs CAP_SYS_RESOURCE.
func Soften() error {
	found := before.Load()
	if found == nil {
		return nil
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, found); err != nil {
		return fmt.Errorf("give back the limit of core dumps: %w", err)
	}
	return nil
}
