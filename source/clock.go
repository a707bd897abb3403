package source

import "time"

// Clock is what a Harvester knows of time.
type Clock interface {
	Now() time.Time
	// After returns a channel that gets one value after d, and a function
	// that releases the timer.
	After(d time.Duration) (<-chan time.Time, func())
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
