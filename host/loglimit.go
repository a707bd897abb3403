package host

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// logLimit counts the lines that were left out because there were too many.
type logLimit struct {
	mu      sync.Mutex
	limiter *rate.Limiter
	left    int
}

// mayLog says whether a line may be written now, and how many were not since
// the last that was.
func (g *group) mayLog(now time.Time) (write bool, unwritten int) {
	l := &g.logs
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limiter.AllowN(now, 1) {
		l.left++
		return false, 0
	}
	unwritten, l.left = l.left, 0
	return true, unwritten
}
