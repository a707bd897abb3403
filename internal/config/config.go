package config

import (
	"math"
	"path/filepath"
	"time"

	"github.com/xentropyd/xentropyd/internal/rights"
	"github.com/xentropyd/xentropyd/transport/local"
	"github.com/xentropyd/xentropyd/transport/xen"
)

// Config is the whole configuration. Its toml names are the file's.
type Config struct {
	Listen     []string `toml:"listen"`      // channel addresses
	SocketMode string   `toml:"socket_mode"` // of the local socket, octal
	Control    string   `toml:"control"`     // path of the control socket
	SeedFile   string   `toml:"seed_file"`   // empty: none
	Policy     string   `toml:"policy"`      // degraded or stop
	Protocol1  bool     `toml:"protocol1"`   // serve protocol 1 too
	LogLevel   string   `toml:"log_level"`

	Rights  Rights     `toml:"rights"`
	Budget  Budget     `toml:"budget"`
	Guests  []Guest    `toml:"guest"`
	Seed    Seed       `toml:"seed"`
	Times   Times      `toml:"times"`
	Limits  Limits     `toml:"limits"`
	Sources Sources    `toml:"sources"`
	Xen     xen.Config `toml:"xen"`
}

// Rights says who may do what, beside root and the daemon's own user, who may do everything. An entry is a user ("anna" or "1000"), a group
// ("@wheel" or "@50"), or "*" for everybody whom the sockets' file modes let in.
type Rights struct {
	Look   []string `toml:"look"`   // see status, sources, guests and metrics
	Guest  []string `toml:"guest"`  // be a guest at a socket of this machine
	Change []string `toml:"change"` // begin a new generation
}

// Budget is what one guest may be given.
type Budget struct {
	Bytes  int      `toml:"bytes"`
	Period Duration `toml:"period"`
}

// Guest is the budget of the guests whose ID or name match, which those of one group share. A zero field is taken from the common budget.
type Guest struct {
	Match  string   `toml:"match"`
	Bytes  int      `toml:"bytes"`
	Period Duration `toml:"period"`
}

// Seed is what is pushed.
type Seed struct {
	Bytes    int      `toml:"bytes"`
	Interval Duration `toml:"interval"`
	Jitter   float64  `toml:"jitter"`
}

// Times bound how long a guest may take.
type Times struct {
	Handshake Duration `toml:"handshake"`
	Write     Duration `toml:"write"`
	KeepAlive Duration `toml:"keep_alive"`
}

// Limits bound what guests can cost.
type Limits struct {
	Sessions             int     `toml:"sessions"`
	SessionsPerGroup     int     `toml:"sessions_per_group"`
	SessionsPerGuest     int     `toml:"sessions_per_guest"`
	NewSessionsPerSecond float64 `toml:"new_sessions_per_second"`
	FramesPerSecond      float64 `toml:"frames_per_second"`
	CPUShare             float64 `toml:"cpu_share"` // of one core
}

// Sources says which noise sources are used and how they are tested.
type Sources struct {
	Enable  []string `toml:"enable"`  // empty: all
	Disable []string `toml:"disable"` // wins over enable
	Alpha   float64  `toml:"alpha"`   // false-alarm probability of a health test
	HWRNG   Paths    `toml:"hwrng"`   // devices, each a source of its own
	TPM     string   `toml:"tpm"`     // device
}

// Paths is written as a list of strings, or as one string.
type Paths []string

// UnmarshalText takes what is not written as a list.
func (p *Paths) UnmarshalText(text []byte) error {
	*p = Paths{string(text)}
	return nil
}

// Duration is a time span, written as "1m30s" (time.ParseDuration).
type Duration struct {
	time.Duration
	bad string // what was written, if it is no duration; Check finds it, because the decoder would not say where it stands
}

// UnmarshalText parses a duration. It never fails: see Check.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration{Duration: v}
	if err != nil {
		d.bad = string(text)
	}
	return nil
}

// MarshalText writes a duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Default is the configuration of a system's daemon.
func Default() Config {
	minute, fiveSeconds := Duration{Duration: time.Minute}, Duration{Duration: 5 * time.Second}
	return Config{
		Listen:     []string{"local:" + local.DefaultSocket},
		SocketMode: "0660",
		Control:    "/run/xentropyd/control.sock",
		SeedFile:   "/var/lib/xentropyd/seed",
		Policy:     "degraded",
		Protocol1:  true,
		LogLevel:   "info",
		Rights:     Rights{Look: []string{rights.Everybody}, Guest: []string{rights.Everybody}, Change: []string{}},
		Budget:     Budget{Bytes: 1024, Period: minute},
		Seed:       Seed{Bytes: 64, Interval: minute, Jitter: 0.25},
		Times:      Times{Handshake: fiveSeconds, Write: fiveSeconds, KeepAlive: Duration{Duration: 25 * time.Second}},
		Limits:     Limits{Sessions: 4096, SessionsPerGroup: 64, SessionsPerGuest: 16, NewSessionsPerSecond: 100, FramesPerSecond: 50, CPUShare: 0.05},
		Sources:    Sources{Enable: []string{}, Disable: []string{}, Alpha: math.Exp2(-30), HWRNG: Paths{"/dev/hwrng"}, TPM: "/dev/tpmrm0"},
		Xen:        xen.DefaultConfig(),
	}
}

// UserDefault is the configuration of a daemon that a user runs without privileges: sockets and seed in directories of the user's.
func UserDefault(runtimeDir, stateDir string) Config {
	c := Default()
	c.Listen = []string{"local:" + local.UserSocket(runtimeDir)}
	c.Control = filepath.Join(runtimeDir, "xentropyd", "control.sock")
	c.SeedFile = filepath.Join(stateDir, "xentropyd", "seed")
	return c
}
