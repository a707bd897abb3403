package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xentropyd/xentropyd/internal/glob"
	"github.com/xentropyd/xentropyd/internal/rights"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport/all"
)

// Our own bounds, which catch slips of the pen rather than narrow anybody's choice.
const (
	minSeed      = 32 // bytes: 256 bits, Fortuna's strength
	maxBudget    = 1 << 30
	minPeriod    = time.Millisecond
	maxPeriod    = 24 * time.Hour
	minInterval  = 100 * time.Millisecond
	maxSocket    = 107 // sun_path less its final zero (unix(7))
	maxSessions  = 1 << 20
	minAlpha     = 1.0 / (1 << 60)
	maxAlpha     = 1.0 / (1 << 10)
	maxPerSecond = 1e6
	minShare     = 0.001
	maxShare     = 1024.0 // more than a session can use, so no bound
	minRate      = 0.1
	minFrames    = 4  // of a guest in each keep_alive: pongs, acknowledgements, requests
	maxHWRNG     = 16 // as many as package source/hwrng has numbers for
)

// Problem is a value that cannot be.
type Problem struct {
	Key   string // "budget.bytes", "guest[1].match"
	Text  string
	other string // the key that does not go with it; where Key stands nowhere in the file, that is the place
}

func (p Problem) Error() string { return p.Key + ": " + p.Text }

// SourceNames are the names that sources.enable and sources.disable know.
var SourceNames = []string{
	source.NameRDRAND, source.NameRDSEED, source.NameJitter, source.NameArrivals, source.NameHWRNG, source.NameTPM,
}

// Check returns everything that is wrong with a configuration's values.
func (c *Config) Check() []Problem { return c.check("") }

// check is Check for what stands in the file with that absolute path.
func (c *Config) check(file string) []Problem {
	var k checker
	if len(c.Listen) == 0 {
		k.add("listen", "empty; name at least one channel address, such as local:/run/xentropyd/local.sock")
	}
	for i, a := range c.Listen {
		if err := checkListen(a); err != nil {
			k.add(fmt.Sprintf("listen[%d]", i), "%v", err)
		} else if slices.Contains(c.Listen[:i], a) {
			k.add(fmt.Sprintf("listen[%d]", i), "%q stands there twice", a)
		}
	}
	if m, err := strconv.ParseUint(c.SocketMode, 8, 32); err != nil || m > 0o777 {
		k.add("socket_mode", "%q; want permission bits in octal, such as \"0660\"", c.SocketMode)
	}
	k.path("control", c.Control)
	if len(c.Control) > maxSocket {
		k.add("control", "path of %d bytes; a Unix socket's has at most %d", len(c.Control), maxSocket)
	}
	if c.SeedFile != "" {
		k.path("seed_file", c.SeedFile)
	}
	k.oneOf("policy", c.Policy, "degraded", "stop")
	k.oneOf("log_level", c.LogLevel, "debug", "info", "warn", "error")

	k.rights("rights.look", c.Rights.Look)
	k.rights("rights.guest", c.Rights.Guest)
	k.rights("rights.change", c.Rights.Change)
	between(&k, "budget.bytes", c.Budget.Bytes, minSeed, maxBudget)
	span(&k, "budget.period", c.Budget.Period, minPeriod, maxPeriod)
	for i, g := range c.Guests {
		key := fmt.Sprintf("guest[%d]", i)
		switch {
		case g.Match == "":
			k.add(key+".match", "missing; want a pattern for a guest's ID or name, such as \"local:1000/*\"")
		case !glob.Good(g.Match):
			k.add(key+".match", "%q is not a pattern; * stands for anything, ? for one character, [a-z] for a range", g.Match)
		}
		if g.Bytes != 0 {
			between(&k, key+".bytes", g.Bytes, minSeed, maxBudget)
		}
		if g.Period != (Duration{}) {
			span(&k, key+".period", g.Period, minPeriod, maxPeriod)
		}
	}
	between(&k, "seed.bytes", c.Seed.Bytes, minSeed, protocol.MaxSeed)
	span(&k, "seed.interval", c.Seed.Interval, minInterval, maxPeriod)
	if !(c.Seed.Jitter >= 0 && c.Seed.Jitter < 1) {
		k.add("seed.jitter", "%v; want 0 up to, not including, 1", c.Seed.Jitter)
	}
	span(&k, "times.handshake", c.Times.Handshake, 10*time.Millisecond, time.Hour)
	span(&k, "times.write", c.Times.Write, 10*time.Millisecond, time.Hour)
	span(&k, "times.keep_alive", c.Times.KeepAlive, minInterval, maxPeriod)
	between(&k, "limits.sessions", c.Limits.Sessions, 1, maxSessions)
	between(&k, "limits.sessions_per_group", c.Limits.SessionsPerGroup, 1, maxSessions)
	between(&k, "limits.sessions_per_guest", c.Limits.SessionsPerGuest, 1, maxSessions)
	between(&k, "limits.new_sessions_per_second", c.Limits.NewSessionsPerSecond, 0.01, maxPerSecond)
	between(&k, "limits.frames_per_second", c.Limits.FramesPerSecond, minRate, maxPerSecond)
	between(&k, "limits.cpu_share", c.Limits.CPUShare, minShare, maxShare)
	k.sources("sources.enable", c.Sources.Enable)
	k.sources("sources.disable", c.Sources.Disable)
	if !(c.Sources.Alpha >= minAlpha && c.Sources.Alpha <= maxAlpha) {
		k.add("sources.alpha", "%v; want a probability of 2^-60 (8.7e-19) to 2^-10 (9.8e-4)", c.Sources.Alpha)
	}
	for i, path := range c.Sources.HWRNG {
		key := "sources.hwrng"
		if len(c.Sources.HWRNG) > 1 {
			key = fmt.Sprintf("%s[%d]", key, i)
		}
		k.path(key, path)
		if slices.Contains(c.Sources.HWRNG[:i], path) {
			k.add(key, "%q stands there twice", path)
		}
	}
	if n := len(c.Sources.HWRNG); n > maxHWRNG {
		k.add("sources.hwrng", "%d devices; at most %d", n, maxHWRNG)
	}
	k.path("sources.tpm", c.Sources.TPM)
	for _, f := range c.Xen.Check(slices.Contains(c.Listen, "xen:")) {
		k.add(strings.TrimSuffix("xen."+f.Key, "."), "%s", f.Text)
	}
	k.pace(c)
	k.files(c, file)
	return k.found
}

// pace refuses a rate of frames at which a guest that only answers pings, acknowledges its seeds and is silent otherwise could not be heard
// in time: it would be given up.
func (k *checker) pace(c *Config) {
	every, rate := c.Times.KeepAlive, c.Limits.FramesPerSecond
	if every.bad != "" || every.Duration < minInterval || !(rate >= minRate) || rate*every.Seconds() >= minFrames {
		return
	}
	k.add("limits.frames_per_second", "%v with a times.keep_alive of %v lets a guest send %.2g frames from one ping to the next, "+
		"and it would be given up; want %d or more: raise either", rate, every, rate*every.Seconds(), minFrames)
	k.found[len(k.found)-1].other = "times.keep_alive"
}

// checkListen refuses what is no channel address, and what is one for guests alone.
func checkListen(address string) error {
	_, _, err := all.Carriers.ParseListen(address)
	return err
}

type checker struct{ found []Problem }

func (k *checker) add(key, format string, args ...any) {
	k.found = append(k.found, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
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

// rights looks names up on this machine.
func (k *checker) rights(key string, entries []string) {
	for i, e := range entries {
		if err := rights.Check(e); err != nil {
			k.add(fmt.Sprintf("%s[%d]", key, i), "%v", err)
		}
	}
}

func (k *checker) sources(key string, names []string) {
	for i, n := range names {
		k.oneOf(fmt.Sprintf("%s[%d]", key, i), n, SourceNames...)
	}
}

func between[T int | float64](k *checker, key string, v, low, high T) {
	if !(v >= low && v <= high) { // so written, NaN is refused
		k.add(key, "%v; want %v to %v", v, low, high)
	}
}

func span(k *checker, key string, d Duration, low, high time.Duration) {
	if d.bad != "" {
		k.add(key, "%q; want a duration in quotes, such as \"1m30s\"", d.bad)
		return
	}
	if d.Duration < low || d.Duration > high {
		k.add(key, "%v; want %v to %v", d, low, high)
	}
}
