package host

import (
	"fmt"
	"time"

	"github.com/xentropyd/xentropyd/transport"
)

// Budget is how many bytes a guest may be given per period. A guest that was
// silent can have at most Bytes at once.
type Budget struct {
	Bytes  int           `toml:"bytes"`  // 32 to 2^30
	Period time.Duration `toml:"period"` // a millisecond to a day
}

// Bounds on a budget: MinSeedBytes is the least, since a seed alone takes them.
const (
	maxBudget = 1 << 30          // bytes; fits an int of 32 bits, and a welcome
	minPeriod = time.Millisecond // in which refusals count
	maxPeriod = 24 * time.Hour   // a guest that has spent all should not wait for days
)

// DefaultBudget is what MirageOS's xentropyd gave: 1,024 bytes, then silence
// for a minute.
func DefaultBudget() Budget { return Budget{Bytes: 1024, Period: time.Minute} }

func (b Budget) String() string { return fmt.Sprintf("%d bytes per %v", b.Bytes, b.Period) }

// Check says what is wrong.
func (b Budget) Check() []transport.Fault {
	var f faults
	between(&f, "bytes", b.Bytes, MinSeedBytes, maxBudget)
	between(&f, "period", b.Period, minPeriod, maxPeriod)
	return f
}
