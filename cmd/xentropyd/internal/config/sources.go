package config

import (
	"fmt"
	"slices"

	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/hwrng"
	"github.com/xentropyd/xentropyd/source/tpm"
	"github.com/xentropyd/xentropyd/transport"
)

// Sources says which noise sources are used and how they are tested.
type Sources struct {
	Enable  []string `toml:"enable"`  // empty: all
	Disable []string `toml:"disable"` // wins over enable
	Alpha   float64  `toml:"alpha"`   // source.WithAlpha
	HWRNG   Paths    `toml:"hwrng"`   // devices, each a source of its own, hwrng.Max at most
	TPM     string   `toml:"tpm"`     // device
}

// Paths is written as a list of strings, or as one string.
type Paths []string

// UnmarshalText takes what is not written as a list.
func (p *Paths) UnmarshalText(text []byte) error {
	*p = Paths{string(text)}
	return nil
}

// DefaultSources are all that there are, with the kernel's own device of each
// kind.
func DefaultSources() Sources {
	return Sources{
		Enable: []string{}, Disable: []string{}, Alpha: source.DefaultAlpha,
		HWRNG: Paths{hwrng.DefaultDevice}, TPM: tpm.DefaultDevice,
	}
}

// SourceNames are the names that sources.enable and sources.disable know.
var SourceNames = []string{
	source.NameRDRAND, source.NameRDSEED, source.NameJitter, source.NameArrivals, source.NameHWRNG, source.NameTPM,
}

// Check says what is wrong.
func (s *Sources) Check() []transport.Fault {
	var k checker
	k.names("enable", s.Enable)
	k.names("disable", s.Disable)
	if err := source.CheckAlpha(s.Alpha); err != nil {
		k.add("alpha", "%v", err)
	}
	for i, path := range s.HWRNG {
		key := s.hwrngKey(i)
		k.path(key, path)
		if slices.Contains(s.HWRNG[:i], path) {
			k.add(key, "%q stands there twice", path)
		}
	}
	if n := len(s.HWRNG); n > hwrng.Max {
		k.add("hwrng", "%d devices; at most %d", n, hwrng.Max)
	}
	k.path("tpm", s.TPM)
	return k.faults()
}

// hwrngKey is where a device stands, which may be written without a list.
func (s *Sources) hwrngKey(i int) string {
	if len(s.HWRNG) > 1 {
		return fmt.Sprintf("hwrng[%d]", i)
	}
	return "hwrng"
}

func (k *checker) names(key string, names []string) {
	for i, n := range names {
		k.oneOf(fmt.Sprintf("%s[%d]", key, i), n, SourceNames...)
	}
}
