package host

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// MinSeedBytes is the smallest seed that may be configured: 256 bits, Fortuna's strength.
const MinSeedBytes = 32

// Config is how a [Server] behaves. The zero value of each field means its default.
type Config struct {
	Budget Budget // per guest; DefaultBudget

	// BudgetFor gives a guest another budget than the common one, and says by what name: all guests of a group with one name share one
	// budget, so that nobody has more by coming under ever new names. An empty name is for the common budget. It may be nil.
	BudgetFor func(transport.Peer) (b Budget, name string)

	SeedBytes     int           // bytes of each pushed seed; 64
	SeedInterval  time.Duration // between pushed seeds; a minute
	SeedJitter    float64       // each interval is drawn from 1-SeedJitter to 1+SeedJitter times SeedInterval; 0.25
	KeepAlive     time.Duration // a silent guest is asked this often whether it is there, and given up after three; 25 s
	HandshakeTime time.Duration // a guest must have said hello by then; 5 s
	WriteTime     time.Duration // a guest must take a frame within; 5 s

	MaxSessions int     // in all; 4096. Then the newest session of the group with the most makes room for one of a group with fewer
	MaxPerGroup int     // per peer group; 64; a group's guests together get no more than as many budgets
	MaxPerGuest int     // per peer; 16
	SessionRate float64 // new sessions per second and peer group, with a burst of MaxPerGroup; 100
	FrameRate   float64 // frames per second that a guest may send before it is slowed down; 50
	CPUShare    float64 // of one core that a guest's sessions may use before they are slowed down, with a burst of half a second; 0.05. A group has a share for each 16 sessions of MaxPerGroup

	NoVersion1 bool // refuse protocol 1

	OnFrame func()           // called for each frame that arrives, to time it; may be nil
	Now     func() time.Time // time.Now
	Log     *slog.Logger     // slog.Default()

	threadTime func() time.Duration // these two are for tests; cputime.Thread
	cpuBurst   time.Duration        // half a second
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// complete fills in the defaults and refuses what cannot work.
func (c Config) complete() (Config, error) {
	orDefault(&c.Budget, DefaultBudget)
	orDefault(&c.SeedBytes, 64)
	orDefault(&c.SeedInterval, time.Minute)
	orDefault(&c.SeedJitter, 0.25)
	orDefault(&c.KeepAlive, 25*time.Second)
	orDefault(&c.HandshakeTime, 5*time.Second)
	orDefault(&c.WriteTime, 5*time.Second)
	orDefault(&c.MaxSessions, 4096)
	orDefault(&c.MaxPerGroup, 64)
	orDefault(&c.MaxPerGuest, 16)
	orDefault(&c.SessionRate, 100)
	orDefault(&c.FrameRate, 50)
	orDefault(&c.CPUShare, 0.05)
	orDefault(&c.cpuBurst, 500*time.Millisecond)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.BudgetFor == nil {
		c.BudgetFor = func(transport.Peer) (Budget, string) { return Budget{}, "" }
	}
	var errs []error
	if err := c.Budget.Check(); err != nil {
		errs = append(errs, err)
	}
	if c.SeedBytes < MinSeedBytes || c.SeedBytes > protocol.MaxSeed {
		errs = append(errs, fmt.Errorf("seed of %d bytes: %d to %d are possible", c.SeedBytes, MinSeedBytes, protocol.MaxSeed))
	}
	if c.SeedJitter < 0 || c.SeedJitter >= 1 {
		errs = append(errs, fmt.Errorf("seed jitter of %v: 0 up to, not including, 1 is possible", c.SeedJitter))
	}
	if c.SeedInterval < 0 || c.KeepAlive < 0 || c.HandshakeTime < 0 || c.WriteTime < 0 || c.MaxSessions < 0 || c.MaxPerGroup < 0 || c.MaxPerGuest < 0 || c.SessionRate < 0 || c.FrameRate < 0 || c.CPUShare < 0 {
		errs = append(errs, errors.New("times, limits and rates must not be negative"))
	}
	return c, errors.Join(errs...)
}
