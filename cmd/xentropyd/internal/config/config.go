package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// Config is the whole configuration. The tags are the file's names; a table of
// another package's type has its defaults and its bounds there.
type Config struct {
	Listen     []string    `toml:"listen"`      // channel addresses
	SocketMode string      `toml:"socket_mode"` // of socket files, octal
	Control    string      `toml:"control"`     // path of the control socket
	SeedFile   string      `toml:"seed_file"`   // empty: none
	Policy     host.Policy `toml:"policy"`
	Protocol1  bool        `toml:"protocol1"` // host.Config's
	LogLevel   string      `toml:"log_level"`

	Rights  Rights      `toml:"rights"`
	Budget  host.Budget `toml:"budget"`
	Guests  []Guest     `toml:"guest"`
	Seed    host.Seed   `toml:"seed"`
	Times   host.Times  `toml:"times"`
	Limits  host.Limits `toml:"limits"`
	Sources Sources     `toml:"sources"`

	// Tables are those of the carriers that have one, by the scheme, which is
	// also the table's name in the file.
	Tables map[string]transport.Config `toml:"-"`
}

// Default is the configuration of a system's daemon.
func Default() Config { return UserDefault("/run", "/var/lib") }

// UserDefault is the configuration of a daemon that a user runs without
// privileges: sockets and seed in directories of the user's.
func UserDefault(runtimeDir, stateDir string) Config {
	served := host.DefaultConfig()
	c := Config{
		SocketMode: fmt.Sprintf("%04o", transport.DefaultListenOptions().Mode),
		Control:    filepath.Join(runtimeDir, "xentropyd", "control.sock"),
		SeedFile:   filepath.Join(stateDir, "xentropyd", "seed"),
		Policy:     host.DefaultEntropyConfig().Policy,
		Protocol1:  served.Protocol1,
		LogLevel:   "info",
		Rights:     DefaultRights(),
		Budget:     served.Budget,
		Seed:       served.Seed,
		Times:      served.Times,
		Limits:     served.Limits,
		Sources:    DefaultSources(),
		Tables:     make(map[string]transport.Config),
	}
	for _, carrier := range all.Carriers {
		if carrier.Default != nil {
			c.Listen = append(c.Listen, carrier.Scheme+":"+carrier.Default(runtimeDir))
		}
		if carrier.Config != nil {
			c.Tables[carrier.Scheme] = carrier.Config()
		}
	}
	return c
}

// Host is how a host serves by this configuration, [Config.BudgetFor] left out.
func (c *Config) Host() host.Config {
	h := host.DefaultConfig()
	h.Protocol1, h.Budget, h.Seed, h.Times, h.Limits = c.Protocol1, c.Budget, c.Seed, c.Times, c.Limits
	return h
}

// Mode is what SocketMode says.
func (c *Config) Mode() (fs.FileMode, error) {
	m, err := strconv.ParseUint(c.SocketMode, 8, 32)
	if err != nil || m > 0o777 {
		return 0, fmt.Errorf("%q; want permission bits in octal, such as \"0660\"", c.SocketMode)
	}
	return fs.FileMode(m), nil
}

// Table is the table of the carrier that has an address, nil if it has none.
func (c *Config) Table(address string) transport.Config { return c.Tables[schemeOf(address)] }

func schemeOf(address string) string {
	scheme, _, _ := strings.Cut(address, ":")
	return scheme
}
