package source

import (
	"math"
	"sync"
)

const (
	// SeedBits is the assessed min-entropy, in bits, that has to be in hand
	// before the first byte is given out.
	SeedBits = 256
	// MarginBits is what SP 800-90B, 3.1.5.1.2, asks for beyond the output
	// length before a vetted conditioner's output has full entropy.
	MarginBits = 64
)

// Ledger counts assessed min-entropy, in bits. The zero value is empty and
// ready; all methods may be called from several goroutines.
type Ledger struct {
	mu           sync.Mutex
	total, spent float64
}

// Add counts bits that came in. What is not a positive finite number counts
// nothing.
func (l *Ledger) Add(bits float64) {
	if bits > 0 && !math.IsInf(bits, 1) {
		l.mu.Lock()
		l.total += bits
		l.mu.Unlock()
	}
}

// Spend takes bits out if so many are there, and reports whether they were.
func (l *Ledger) Spend(bits float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !(bits >= 0) || l.total-l.spent < bits {
		return false
	}
	l.spent += bits
	return true
}

// Total returns all that ever came in.
func (l *Ledger) Total() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Spent returns all that was ever taken out.
func (l *Ledger) Spent() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spent
}

// Balance returns what is there to spend.
func (l *Ledger) Balance() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total - l.spent
}

// Missing returns how many whole bits the balance lacks to reach want: what to
// [Harvester.Demand].
func (l *Ledger) Missing(want float64) int {
	return int(math.Ceil(max(0, min(want-l.Balance(), math.MaxInt32))))
}

// Seeded reports whether SeedBits have come in, spent or not.
func (l *Ledger) Seeded() bool { return l.Total() >= SeedBits }
