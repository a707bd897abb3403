package host

import (
	"fmt"
	"time"
)

// Budget is how many bytes a guest may be given per period. A guest that was silent can have at most Bytes at once.
type Budget struct {
	Bytes  int
	Period time.Duration
}

// DefaultBudget is what MirageOS's xentropyd gave: 1,024 bytes, then silence for a minute.
var DefaultBudget = Budget{Bytes: 1024, Period: time.Minute}

// maxBudget is the largest budget, in bytes. It fits an int of 32 bits, and a welcome.
const maxBudget = 1 << 30

func (b Budget) String() string { return fmt.Sprintf("%d bytes per %v", b.Bytes, b.Period) }

// Check refuses a budget that could not be kept.
func (b Budget) Check() error {
	switch {
	case b.Bytes < MinSeedBytes:
		return fmt.Errorf("budget of %d bytes: a seed alone takes %d", b.Bytes, MinSeedBytes)
	case b.Bytes > maxBudget:
		return fmt.Errorf("budget of %d bytes: at most %d", b.Bytes, maxBudget)
	case b.Period < time.Millisecond:
		return fmt.Errorf("budget period of %v: at least a millisecond", b.Period)
	}
	return nil
}
