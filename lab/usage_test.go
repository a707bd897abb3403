//go:build lab && linux

package lab

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// usage is what a process has used and holds.
type usage struct {
	cpu    time.Duration
	memory int // KiB
	files  int
	lines  int // of its log in a file, if it has one
	events int // interrupts of the event channel that had most, of those that are open
	wakes  int // times that its threads went to sleep
}

// serviceLog is the log of a daemon that writes it to a file.
const serviceLog = "/var/log/xentropyd.log"

// usage asks what the daemon has used, its pid being known. It fails when there is
// none any more. utime and stime are fields 14 and 15 of stat, and 12 and 13
// behind the name (proc_pid_stat(5)).
func (s *daemon) usage(t *testing.T, pid int) (u usage) {
	out, err := s.d.Shell(t.Context(), fmt.Sprintf(`cd /proc/%d && sed 's/.*) //' stat | awk '{print $12+$13}' &&
awk '/^VmRSS:/{print $2}' status && ls fd | wc -l && cat %s 2>/dev/null | wc -l
awk '/evtchn:xentropyd/{n=$2+$3; if(n>m)m=n} END{print m+0}' /proc/interrupts
cat task/*/status | awk '/^voluntary/{n+=$2} END{print n+0}'`, pid, serviceLog))
	require.NoError(t, err, "xentropyd has ended")
	var ticks time.Duration
	_, err = fmt.Sscan(out, (*int64)(&ticks), &u.memory, &u.files, &u.lines, &u.events, &u.wakes)
	require.NoError(t, err, "xentropyd has ended: %q", out)
	u.cpu = ticks * tick
	return u
}

// tick is the unit of what the kernel says of CPU times (USER_HZ).
const tick = time.Second / 100
