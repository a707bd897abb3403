package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

const (
	maxSocket = 107 // bytes of a path: sun_path less its final zero (unix(7))
	minFrames = 4   // of a guest in each keep_alive, our own choice: pongs, acknowledgements, requests
)

// Problem is a value that cannot be.
type Problem struct {
	Key   string // "budget.bytes", "guest[1].match"
	Text  string
	other string // the key that does not go with it; where Key stands nowhere in the file, that is the place
}

func (p Problem) Error() string { return p.Key + ": " + p.Text }

// Check returns everything that is wrong with a configuration's values.
func (c *Config) Check() []Problem { return c.check("", nil) }

// check is Check for what stands in the file with that absolute path, and of
// which this is known to be wrong.
func (c *Config) check(file string, unread []Problem) []Problem {
	k := checker{found: slices.Clone(unread), unread: unread}
	if len(c.Listen) == 0 {
		k.add("listen", "empty; name at least one channel address, such as %s", strings.Join(Default().Listen, " or "))
	}
	for i, a := range c.Listen {
		if _, _, err := all.Carriers.ParseListen(a); err != nil {
			k.add(fmt.Sprintf("listen[%d]", i), "%v", err)
		} else if slices.Contains(c.Listen[:i], a) {
			k.add(fmt.Sprintf("listen[%d]", i), "%q stands there twice", a)
		}
	}
	if _, err := c.Mode(); err != nil {
		k.add("socket_mode", "%v", err)
	}
	k.path("control", c.Control)
	if len(c.Control) > maxSocket {
		k.add("control", "path of %d bytes; a Unix socket's has at most %d", len(c.Control), maxSocket)
	}
	if c.SeedFile != "" {
		k.path("seed_file", c.SeedFile)
	}
	k.in("policy", c.Policy.Check())
	k.oneOf("log_level", c.LogLevel, "debug", "info", "warn", "error")
	k.in("rights", c.Rights.Check())
	for i, g := range c.Guests {
		k.in(fmt.Sprintf("guest[%d]", i), g.Check())
	}
	served := c.Host()
	k.in("", served.Check())
	k.in("sources", c.Sources.Check())
	for _, carrier := range all.Carriers {
		if t := c.Tables[carrier.Scheme]; t != nil {
			used := slices.ContainsFunc(c.Listen, func(a string) bool { return schemeOf(a) == carrier.Scheme })
			k.in(carrier.Scheme, t.Check(used))
		}
	}
	k.pace(c)
	k.files(c, file)
	return k.found
}

// pace refuses a rate of frames at which a guest that only answers pings,
// acknowledges its seeds and is silent otherwise could not be heard in time: it
// would be given up.
func (k *checker) pace(c *Config) {
	const key, other = "limits.frames_per_second", "times.keep_alive"
	every, rate := c.Times.KeepAlive, c.Limits.FramesPerSecond
	if k.has(key) || k.has(other) || rate*every.Seconds() >= minFrames {
		return
	}
	k.add(key, "%v with a %s of %v lets a guest send %.2g frames from one ping to the next, "+
		"and it would be given up; want %d or more: raise either", rate, other, every, rate*every.Seconds(), minFrames)
	k.found[len(k.found)-1].other = other
}

// checker collects what is wrong.
type checker struct {
	found  []Problem
	unread []Problem // values that could not be read: of what stands in their place nothing is said
}

func (k *checker) add(key, format string, args ...any) {
	if !slices.ContainsFunc(k.unread, func(p Problem) bool { return p.Key == key }) {
		k.found = append(k.found, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
	}
}

func (k *checker) has(key string) bool {
	return slices.ContainsFunc(k.found, func(p Problem) bool { return p.Key == key })
}

// in adds what is wrong with a table, or with the one that is all.
func (k *checker) in(table string, faults []transport.Fault) {
	for _, f := range faults {
		k.add(join(table, f.Key), "%s", f.Text)
	}
}

// faults is what was found, for the Check of a table.
func (k *checker) faults() (list []transport.Fault) {
	for _, p := range k.found {
		list = append(list, transport.Fault{Key: p.Key, Text: p.Text})
	}
	return list
}

// join names a key of a table; either may be empty.
func join(table, key string) string {
	if table == "" || key == "" {
		return table + key
	}
	return table + "." + key
}

func (k *checker) path(key, path string) {
	if !filepath.IsAbs(path) {
		k.add(key, "%q; want an absolute path", path)
	}
}

func (k *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.add(key, "%q; want one of %s", value, strings.Join(allowed, ", "))
	}
}
