package proc

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"unicode"
)

// strangers counts the processes of other PID namespaces, which have no number
// here.
var strangers atomic.Uint64

// ID names a process so that no other one is ever taken for it: its number,
// which is used again, and its start. One of another PID namespace is a new one
// each time; what limits its user limits it.
func ID(pid int) string {
	if start, err := Start(pid); err == nil && pid > 0 {
		return fmt.Sprintf("%d@%d", pid, start)
	}
	return fmt.Sprintf("stranger-%d", strangers.Add(1))
}

// Name is what /proc says (proc_pid_comm(5)): at most 15 bytes, which the
// process may have chosen itself.
func Name(pid int) string {
	if pid <= 0 { // of another PID namespace
		return ""
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.TrimSuffix(string(b), "\n"))
}
