package host

import (
	"time"

	"github.com/xentropyd/xentropyd/transport"
)

// Times bound how long a guest may take.
type Times struct {
	Handshake time.Duration `toml:"handshake"` // to say hello, 10 ms to an hour
	Write     time.Duration `toml:"write"`     // to take a frame, 10 ms to an hour

	// KeepAlive is how often a silent guest is asked whether it is there, 100
	// ms to a day. It is given up after three times.
	KeepAlive time.Duration `toml:"keep_alive"`
}

// Bounds on these times.
const (
	minTake = 10 * time.Millisecond // a few turns of a busy machine's scheduler
	maxTake = time.Hour             // beyond it a guest that hangs has its place for ever
	minAsk  = 100 * time.Millisecond
	maxAsk  = 24 * time.Hour // beyond it a guest that is gone has its place for days
)

// DefaultTimes give a guest five seconds, which is long on a machine that is
// alive, and hear within 75 s of one that is gone.
func DefaultTimes() Times {
	return Times{Handshake: 5 * time.Second, Write: 5 * time.Second, KeepAlive: 25 * time.Second}
}

// Check says what is wrong.
func (t Times) Check() []transport.Fault {
	var f faults
	between(&f, "handshake", t.Handshake, minTake, maxTake)
	between(&f, "write", t.Write, minTake, maxTake)
	between(&f, "keep_alive", t.KeepAlive, minAsk, maxAsk)
	return f
}
