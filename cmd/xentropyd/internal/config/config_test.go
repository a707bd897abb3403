package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/source/hwrng"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

const example = "../../../../packaging/xentropyd.toml"

func TestDefaultsAreGood(t *testing.T) {
	d := Default()
	assert.Empty(t, d.Check())
	u := UserDefault("/run/user/1000", "/home/anna/.local/state")
	assert.Empty(t, u.Check())
	assert.Equal(t, "/home/anna/.local/state/xentropyd/seed", u.SeedFile)
}

func TestEmptyFileIsTheDefault(t *testing.T) {
	c, err := Parse("f", nil, Default())
	require.NoError(t, err)
	assert.Equal(t, Default(), c)
}

// TestParseWritesToNothing: what a file is read over stays as it was, lists and
// carriers' tables too.
func TestParseWritesToNothing(t *testing.T) {
	over := Default()
	c, err := Parse("f", []byte("listen = ['local:/run/x']\n[xen]\nallow = ['a']\n[rights]\nlook = ['root']"), over)
	require.NoError(t, err)
	assert.Equal(t, Default(), over)
	assert.Equal(t, []string{"local:/run/x"}, c.Listen)
	assert.Equal(t, []string{"listen", "rights.look", "xen.allow"}, Differences(over, c))
	again, err := Parse("f", []byte("[xen]\ndeny = ['b']"), c)
	require.NoError(t, err)
	assert.Equal(t, []string{"xen.deny"}, Differences(c, again), "what is not in the file is as it was")
}

// TestTable: a carrier that has a table of its own is handed that, and no other
// one is.
func TestTable(t *testing.T) {
	c := Default()
	for _, carrier := range all.Carriers {
		table := c.Table(carrier.Scheme + ":path")
		assert.Equal(t, carrier.Config != nil, table != nil, carrier.Scheme)
		if table != nil {
			assert.Equal(t, carrier.Config(), table)
		}
	}
}

// TestHost: all that the file says of a host's tables is said to the host.
func TestHost(t *testing.T) {
	c := Default()
	assert.Equal(t, host.DefaultConfig(), c.Host())
	text := "protocol1 = false\n[budget]\nbytes = 99\n[seed]\njitter = 0.0\n[times]\nwrite = " +
		"'1s'\n[limits]\nsessions = 7"
	c, err := Parse("f", []byte(text), Default())
	require.NoError(t, err)
	want := host.DefaultConfig()
	want.Protocol1, want.Budget.Bytes, want.Seed.Jitter, want.Times.Write,
		want.Limits.Sessions = false, 99, 0, time.Second, 7
	assert.Equal(t, want, c.Host())
}

// commented matches a line of the example that is a key or a table, not a
// sentence.
var commented = regexp.MustCompile(`^# ([a-z0-9_]+ = .*|\[[a-z]+\])$`)

// TestExample takes the comment signs off the example and must find every key,
// each with its default.
func TestExample(t *testing.T) {
	text, err := os.ReadFile(example)
	require.NoError(t, err)
	as, err := Parse(example, text, Default())
	require.NoError(t, err)
	assert.Equal(t, Default(), as, "as it stands it changes nothing")

	var lines []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if m := commented.FindStringSubmatch(line); m != nil {
			lines = append(lines, m[1])
		}
	}
	// over nothing: each default must come from the file
	c, err := Parse("uncommented", []byte(strings.Join(lines, "\n")), Config{})
	require.NoError(t, err)
	assert.Equal(t, Default(), c)

	guest := regexp.MustCompile(`(?m)^#   (.*)$`)
	at := strings.Index(string(text), "[[guest]]")
	var entry []string
	for _, m := range guest.FindAllStringSubmatch(string(text)[at-4:], -1) {
		entry = append(entry, m[1])
	}
	c, err = Parse("guest", []byte(strings.Join(entry, "\n")), Default())
	require.NoError(t, err)
	require.Len(t, c.Guests, 1)
	assert.NotZero(t, c.Guests[0].Bytes)
	assert.NotZero(t, c.Guests[0].Period)
}

// TestGoldenErrors reads each testdata/*.toml, which says in comments what
// error it must give. ${carriers} stands there for the carriers' addresses, and
// ${tables} for the names of their tables.
func TestGoldenErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var carriers []string
	var tables string
	for _, c := range all.Carriers {
		carriers = append(carriers, c.Scheme+":"+c.Form)
		if c.Config != nil {
			tables += ", " + c.Scheme
		}
	}
	fill := strings.NewReplacer("${carriers}", strings.Join(carriers, ", "), "${tables}", tables)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			var want []string
			for line := range strings.SplitSeq(string(text), "\n") {
				if rest, ok := strings.CutPrefix(line, "#! "); ok {
					want = append(want, fill.Replace(rest))
				}
			}
			_, err = Load(f, Default())
			require.Error(t, err)
			got := strings.ReplaceAll(err.Error(), "testdata/", "")
			assert.Equal(t, strings.Join(want, "\n"), got)
			var e *Error
			assert.True(t, errors.As(err, &e))
		})
	}
}

func TestLoadMissing(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.toml"), Default())
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestTooLong(t *testing.T) {
	_, err := Parse("f", []byte(strings.Repeat("#\n", maxFile/2)), Default())
	require.NoError(t, err)
	_, err = Parse("f", []byte(strings.Repeat("#\n", maxFile/2)+"#"), Default())
	assert.ErrorContains(t, err, "more than")
}

// TestGenerators: one device may be written without a list.
func TestGenerators(t *testing.T) {
	for text, want := range map[string]Paths{
		`hwrng = "/dev/ttyACM0"`:                 {"/dev/ttyACM0"},
		`hwrng = ["/dev/hwrng", "/dev/ttyACM0"]`: {"/dev/hwrng", "/dev/ttyACM0"},
		`hwrng = []`:                             {},
		``:                                       {"/dev/hwrng"},
	} {
		c, err := Parse("f", []byte("[sources]\n"+text), Default())
		require.NoError(t, err)
		assert.Equal(t, want, c.Sources.HWRNG)
	}
	for text, want := range map[string]string{
		`hwrng = "ttyACM0"`:                        `f:2:1: sources.hwrng: "ttyACM0"; want an absolute path`,
		`hwrng = ["/dev/hwrng", "ttyACM0"]`:        `f:2:24: sources.hwrng[1]: "ttyACM0"; want an absolute path`,
		`hwrng = ["/dev/x", "/dev/x"]`:             `f:2:20: sources.hwrng[1]: "/dev/x" stands there twice`,
		`hwrng = {path = "/dev/x"}`:                `sources.hwrng: want a path in quotes, or a list of them`,
		`hwrng = 7`:                                `want an absolute path`,
		`hwrng = [` + manyPaths(hwrng.Max+1) + `]`: `f:2:1: sources.hwrng: 17 devices; at most 16`,
	} {
		_, err := Parse("f", []byte("[sources]\n"+text), Default())
		assert.ErrorContains(t, err, want)
	}
}

func manyPaths(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("\"/dev/%d\"", i))
	}
	return strings.Join(list, ", ")
}

// TestPathsInEachOthersWay: the seed file would replace a socket or the
// configuration, its lock would be written into them, and two sockets cannot be
// one.
func TestPathsInEachOthersWay(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.toml")
	for name, c := range map[string]struct{ text, want string }{
		"seed is control": {
			"control = '/run/a'\nseed_file = '/run/a'",
			`2:1: seed_file: "/run/a" is the path of control, too; give each a path of its own`,
		},
		"not cleaned": {
			"control = '/run/b/../a'\nseed_file = '/run//a'",
			`2:1: seed_file: "/run/a" is the path of control, too; give each a path of its own`,
		},
		"seed is a listen path": {
			"listen = ['xen:', 'local:/run/a']\nseed_file = '/run/a'",
			`2:1: seed_file: "/run/a" is the path of listen[1], too; give each a path of its own`,
		},
		"lock": {
			"control = '/run/a.lock'\nseed_file = '/run/a'",
			`2:1: seed_file: its lock "/run/a.lock" is the path of control, too; give each a path of its own`,
		},
		"successor": {
			"listen = ['local:/run/a.new']\nseed_file = '/run/a'",
			`2:1: seed_file: its successor "/run/a.new" is the path of listen[0], too; give each a path of its own`,
		},
		"control is a listen path": {
			"listen = ['local:/run/a']\ncontrol = '/run/./a'",
			`2:1: control: "/run/a" is the path of listen[0], too; give each a path of its own`,
		},
		"the other one is the default": {
			"control = '/var/lib/xentropyd/seed'",
			`1:1: seed_file: "/var/lib/xentropyd/seed" is the path of control, too; give each a path of its own`,
		},
		"seed is a device": {
			"seed_file = '/dev/hwrng'",
			`1:1: seed_file: "/dev/hwrng" is the path of sources.hwrng, too; give each a path of its own`,
		},
		"seed is the configuration": {
			"seed_file = '" + file + "'",
			fmt.Sprintf(`1:1: seed_file: %q is the path of this configuration file itself, too; give each a path of its own`, file),
		},
		"control is the configuration": {
			"control = '" + file + "'",
			fmt.Sprintf(`1:1: control: %q is the path of this configuration file itself, too; give each a path of its own`, file),
		},
		"two listen paths": {
			"listen = ['local:/run/a', 'local:/run//a']",
			`1:27: listen[1]: "/run/a" is the path of listen[0], too; give each a path of its own`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(file, []byte(c.text), Default())
			assert.EqualError(t, err, file+":"+c.want)
		})
	}
	for name, file := range map[string]string{"seed": "seed", "its lock": "seed.lock", "its successor": "seed.new"} {
		t.Chdir(dir) // a name without a directory is one, too
		_, err := Parse(file, []byte("seed_file = '"+filepath.Join(dir, "seed")+"'"), Default())
		assert.ErrorContains(t, err, "this configuration file itself", name)
	}
	_, err := Parse(file, []byte("listen = ['local:/run/a']\ncontrol = '/run/b'\nseed_file = '/run/c'"), Default())
	assert.NoError(t, err)
	_, err = Parse(file, []byte("listen = ['local:/run/seed']\nseed_file = ''"), Default())
	assert.NoError(t, err)
}

// TestPaceOfPongs: at the bound, and a little below it.
func TestPaceOfPongs(t *testing.T) {
	for text, want := range map[string]string{
		"[times]\nkeep_alive = '40s'\n[limits]\nframes_per_second = 0.1": "",
		"[times]\nkeep_alive = '39s'\n[limits]\nframes_per_second = 0.1": `f:4:1: limits.frames_per_second: 0.1 with a times.keep_alive of 39s lets a guest send ` +
			`3.9 frames from one ping to the next, and it would be given up; want 4 or more: raise either`,
		"[limits]\nframes_per_second = 0.16": "", // 25 s, by default
		"[limits]\nframes_per_second = 0.15": "f:2:1: limits.frames_per_second: 0.15 with a times.keep_alive of 25s",
		"[times]\nkeep_alive = '100ms'":      "", // 50 frames
		"[limits]\nframes_per_second = 0.0":  "f:2:1: limits.frames_per_second: 0; want 0.1 to 1e+06",
	} {
		_, err := Parse("f", []byte(text), Default())
		if want == "" {
			assert.NoError(t, err, text)
		} else if assert.ErrorContains(t, err, want) {
			assert.NotContains(t, err.Error(), "\n", "one fault, one line")
		}
	}
}

func TestBudgetFor(t *testing.T) {
	c, err := Parse("f", []byte(`
[budget]
bytes = 100
period = "1s"
[[guest]]
match = "local:1000/*"
bytes = 200
[[guest]]
match = "qemu-*"
period = "2s"
[[guest]]
match = "local:*"
bytes = 400
period = "4s"
`), Default())
	require.NoError(t, err)
	for _, g := range []struct {
		id, name, pattern string
		budget            host.Budget
	}{
		// the first that matches counts
		{"local:1000/17", "qemu-1", "local:1000/*", host.Budget{Bytes: 200, Period: time.Second}},
		{"xen:3", "qemu-1", "qemu-*", host.Budget{Bytes: 100, Period: 2 * time.Second}}, // by name
		// a star goes over slashes
		{"local:0/17", "init", "local:*", host.Budget{Bytes: 400, Period: 4 * time.Second}},
		{"xen:3", "init", "", host.Budget{Bytes: 100, Period: time.Second}}, // none
	} {
		budget, pattern := c.BudgetFor(transport.Peer{ID: g.id, Name: g.name})
		assert.Equal(t, g.budget, budget, "%+v", g)
		assert.Equal(t, g.pattern, pattern)
	}
}

func TestRights(t *testing.T) {
	c, err := Parse("f", []byte("[rights]\nlook = ['root', '@0']\nchange = ['1000', '@50', '*']"), Default())
	require.NoError(t, err)
	assert.Equal(t, Rights{
		Look: []string{"root", "@0"}, Guest: []string{"*"},
		Change: []string{"1000", "@50", "*"},
	}, c.Rights)
}

// FuzzParse: no file panics, every error is an *Error with a place inside the
// file, and what is accepted passes the checks.
func FuzzParse(f *testing.F) {
	if text, err := os.ReadFile(example); err == nil {
		f.Add(text)
		f.Add([]byte(strings.ReplaceAll(string(text), "# ", "")))
	}
	files, _ := filepath.Glob("testdata/*.toml")
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	f.Add([]byte("[[guest]]\nmatch='*'\n[[guest]]\nmatch=''\n[guest.x]"))
	f.Add([]byte("budget = {bytes = 1, period = '1ns'}\nlisten = [['a'], {b = 1}]"))
	f.Add([]byte("seed.bytes = 31\n'seed'.\"jitter\" = nan"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data, Default())
		if err == nil {
			if p := c.Check(); len(p) != 0 {
				t.Fatalf("accepted what is not good: %v", p)
			}
			return
		}
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		if lines := strings.Count(string(data), "\n") + 1; e.Line < 0 || e.Line > lines ||
			e.Column < 0 || e.Column > len(data)+1 {
			t.Fatalf("error at %d:%d of %d lines", e.Line, e.Column, lines)
		}
	})
}
