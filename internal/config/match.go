package config

import (
	"path"
	"strings"
)

// BudgetFor returns the budget of a guest: of the first [[guest]] whose pattern matches its ID or name, else the common one. The pattern is
// empty then.
func (c *Config) BudgetFor(id, name string) (b Budget, pattern string) {
	for _, g := range c.Guests {
		if glob(g.Match, id) || glob(g.Match, name) {
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

// noSlash takes from the slash its part in path.Match: "local:*" is to match "local:0/17".
var noSlash = strings.NewReplacer("/", "\x00")

func glob(pattern, name string) bool {
	ok, err := path.Match(noSlash.Replace(pattern), noSlash.Replace(name))
	return err == nil && ok
}

func goodGlob(pattern string) bool {
	_, err := path.Match(noSlash.Replace(pattern), "")
	return err == nil
}
