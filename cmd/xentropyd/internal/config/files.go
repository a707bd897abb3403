package config

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/xentropyd/xentropyd/transport/all"
)

// Beside the seed file stand its lock and, while it is replaced, the new one:
// see package seedfile.
const (
	seedLock = ".lock"
	seedNew  = ".new"
)

// place is a path that the daemon makes, replaces or opens, and the key that
// names it. An empty key is that of the configuration file itself.
type place struct{ key, path string }

func (p place) String() string {
	if p.key == "" {
		return "this configuration file itself"
	}
	return p.key
}

// files refuses paths that stand in each other's way. file is the configuration
// file's absolute path; empty: there is none. Links are not looked through:
// nothing is opened here.
func (k *checker) files(c *Config, file string) {
	taken := []place{{"", file}}
	for i, a := range c.Listen {
		if slices.Contains(c.Listen[:i], a) {
			continue // word for word: found elsewhere
		}
		if a, c, err := all.Carriers.Parse(a); err == nil && c.File != nil {
			taken = k.claim(taken, place{fmt.Sprintf("listen[%d]", i), c.File(a.Path)}, "")
		}
	}
	taken = k.claim(taken, place{"control", c.Control}, "")
	for i, path := range c.Sources.HWRNG {
		taken = append(taken, place{join("sources", c.Sources.hwrngKey(i)), path}) // twice is found elsewhere
	}
	taken = append(taken, place{"sources.tpm", c.Sources.TPM})
	if c.SeedFile == "" {
		return
	}
	seed := filepath.Clean(c.SeedFile)
	k.claim(taken, place{"seed_file", seed}, "")
	k.claim(taken, place{"seed_file", seed + seedLock}, "its lock ")
	k.claim(taken, place{"seed_file", seed + seedNew}, "its successor ")
}

// claim reports that p is taken already, else adds it. Where only the other key
// stands in the file, that is the place to point at.
func (k *checker) claim(taken []place, p place, what string) []place {
	path := filepath.Clean(p.path)
	for _, t := range taken {
		if t.path != "" && filepath.Clean(t.path) == path {
			k.add(p.key, "%s%q is the path of %v, too; give each a path of its own", what, path, t)
			k.found[len(k.found)-1].other = t.key
			return taken
		}
	}
	return append(taken, p)
}
