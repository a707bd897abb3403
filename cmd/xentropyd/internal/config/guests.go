package config

import (
	"time"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/glob"
	"github.com/xentropyd/xentropyd/transport"
)

// Guest is the budget of the guests whose ID or name match, which those of one
// group share. What is nil is taken from the common budget.
type Guest struct {
	Match  string         `toml:"match"`
	Bytes  *int           `toml:"bytes"`
	Period *time.Duration `toml:"period"`
}

// over is the guest's budget where this is the common one.
func (g *Guest) over(b host.Budget) host.Budget {
	if g.Bytes != nil {
		b.Bytes = *g.Bytes
	}
	if g.Period != nil {
		b.Period = *g.Period
	}
	return b
}

// Check says what is wrong.
func (g *Guest) Check() []transport.Fault {
	var k checker
	switch {
	case g.Match == "":
		k.add("match", "missing; want a pattern for a guest's ID or name, such as \"local:1000/*\"")
	case !glob.Good(g.Match):
		k.add("match", "%s", glob.Bad(g.Match))
	}
	k.in("", g.over(host.DefaultBudget()).Check())
	return k.faults()
}

// BudgetFor returns the budget of a guest: of the first [[guest]] whose pattern
// matches its ID or name, else the common one. The pattern is empty then. A
// name that the guest chose itself matches nothing.
func (c *Config) BudgetFor(p transport.Peer) (b host.Budget, pattern string) {
	name := p.Name
	if p.OwnName {
		name = ""
	}
	for _, g := range c.Guests {
		if glob.Match(g.Match, p.ID) || glob.Match(g.Match, name) {
			return g.over(c.Budget), g.Match
		}
	}
	return c.Budget, ""
}
