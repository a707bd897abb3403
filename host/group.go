package host

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/cputime"
)

// group is what the sessions of one peer group share, such as all processes of a user. Guarded by Server.mu, but for bucket, cpu
// and logs, which guard themselves.
type group struct {
	sessions int
	arrivals *rate.Limiter
	seen     time.Time
	bucket   bucket // of all its guests together
	cpu      *cputime.Share
	logs     logLimit
}

// logLines and logEvery bound the lines about one group: so many at once, then one each time.
const (
	logLines = 10
	logEvery = 10 * time.Second
)

// newGroup returns a group that may be given as much as its sessions could be one by one, and cost less than they could.
func newGroup(cfg *Config) *group {
	shares := max(1, cfg.MaxPerGroup/sessionsPerShare)
	return &group{
		arrivals: rate.NewLimiter(rate.Limit(cfg.SessionRate), cfg.MaxPerGroup),
		bucket:   newBucket(Budget{Bytes: cfg.MaxPerGroup * cfg.Budget.Bytes, Period: cfg.Budget.Period}),
		cpu:      cputime.NewShare(float64(shares)*cfg.CPUShare, time.Duration(shares)*cfg.cpuBurst),
		logs:     logLimit{limiter: rate.NewLimiter(rate.Every(logEvery), logLines)},
	}
}
