// Package proc tells processes apart: a number is used again, a number with its
// start is not.
package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// fieldStart is starttime's place among the fields after the command name in
// the state of a process or thread, in clock ticks since boot
// (proc_pid_stat(5): the 22nd in all, the name being the second).
const fieldStart = 22 - 3

// Start says when a process began, in clock ticks since boot. If there is no
// such process, the error is fs.ErrNotExist.
func Start(pid int) (uint64, error) {
	// Its first thread's state: for that of the process the kernel adds up all
	// of its threads, of which there may be tens of thousands.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", pid, pid))
	if errors.Is(err, syscall.ESRCH) { // it ended between open and read
		err = os.ErrNotExist
	}
	if err != nil {
		return 0, fmt.Errorf("look for process %d: %w", pid, err)
	}
	return parseStart(string(stat))
}

// parseStart takes what stands after the last parenthesis: a command's name may
// have any.
func parseStart(stat string) (uint64, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= fieldStart {
		return 0, fmt.Errorf("parse the state of a process: %d fields after the name, want more than %d", len(fields),
			fieldStart)
	}
	start, err := strconv.ParseUint(fields[fieldStart], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse the start of a process: %w", err)
	}
	return start, nil
}
