package config

import "github.com/xentropyd/xentropyd/internal/glob"

// BudgetFor returns the budget of a guest: of the first [[guest]] whose pattern matches its ID or name, else the common one. The pattern is
// empty then.
func (c *Config) BudgetFor(id, name string) (b Budget, pattern string) {
	for _, g := range c.Guests {
		if glob.Match(g.Match, id) || glob.Match(g.Match, name) {
			b = Budget{g.Bytes, g.Period}
			if b.Bytes == 0 {
				b.Bytes = c.Budget.Bytes
			}
			if b.Period.Duration == 0 {
				b.Period = c.Budget.Period
			}
			return b, g.Match
		}
	}
	return c.Budget, ""
}
