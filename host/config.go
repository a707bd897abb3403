package host

import (
	"log/slog"

	"github.com/xentropyd/xentropyd/transport"
)

// Config is how a [Server] behaves: change what [DefaultConfig] gives. Its
// tables have the names that they have in xentropyd's configuration file.
type Config struct {
	Protocol1 bool   `toml:"protocol1"` // serve guests that speak protocol 1 too
	Budget    Budget `toml:"budget"`    // of each guest
	Seed      Seed   `toml:"seed"`
	Times     Times  `toml:"times"`
	Limits    Limits `toml:"limits"`

	// BudgetFor gives a guest another budget than the common one, and says by
	// what name: all guests of a group with one name share one budget, so that
	// nobody has more by coming under ever new names. An empty name, or a
	// budget that its Check refuses, is for the common budget; nil is for
	// everybody.
	BudgetFor func(transport.Peer) (b Budget, name string) `toml:"-"`

	OnFrame func()       `toml:"-"` // called for each frame that arrives, to time it; nil: nobody does
	Log     *slog.Logger `toml:"-"` // nil: slog.Default()
}

// DefaultConfig gives guests what MirageOS's xentropyd gave them, and bounds
// what they cost so that they cannot harm a machine that does other work
// besides.
func DefaultConfig() Config {
	return Config{
		Protocol1: true,
		Budget:    DefaultBudget(),
		Seed:      DefaultSeed(),
		Times:     DefaultTimes(),
		Limits:    DefaultLimits(),
	}
}

// Check says what is wrong, by the names of the tags: "budget.bytes".
func (c *Config) Check() []transport.Fault {
	var f faults
	f.in("budget", c.Budget.Check())
	f.in("seed", c.Seed.Check())
	f.in("times", c.Times.Check())
	f.in("limits", c.Limits.Check())
	return f
}

// logger is where to log, if this may be nil.
func logger(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.Default()
	}
	return log
}
