package cli

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden keeps the process's memory to itself: no core dump of it is written (setrlimit(2), RLIMIT_CORE), and no other process of the
// same user may trace it or read its memory (prctl(2), PR_SET_DUMPABLE). A child is free of the second until it asks for it.
func Harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("switch core dumps off: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the process's memory unreadable to others: %w", err)
	}
	return nil
}
