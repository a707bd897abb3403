package main

import (
	"errors"
	"slices"

	"github.com/xentropyd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/hwrng"
	"github.com/xentropyd/xentropyd/source/tpm"
)

// sources is every source that was looked for, in the order of their numbers.
type sources []source.Found

// errDisabled is why a source is absent that the configuration switches off.
var errDisabled = errors.New("switched off by the configuration: see [sources] there")

// findSources looks for all sources and closes those that are switched off. The kernel's generator cannot be: it is always mixed in.
func findSources(c config.Sources) sources {
	wanted := func(name string) bool {
		if name == source.NameKernel {
			return true
		}
		return !slices.Contains(c.Disable, name) && (len(c.Enable) == 0 || slices.Contains(c.Enable, name))
	}
	found := sources(source.Probe())
	found = append(found, device(source.IDHWRNG, source.NameHWRNG, "hardware random number generator at "+c.HWRNG, wanted, func() (source.Source, error) {
		return hwrng.Open(c.HWRNG, hwrng.DefaultCurrent)
	}))
	found = append(found, device(source.IDTPM, source.NameTPM, "TPM 2.0 at "+c.TPM, wanted, func() (source.Source, error) {
		return tpm.Open(c.TPM)
	}))
	for i := range found {
		if !wanted(found[i].Info.Name) {
			switchOff(&found[i])
		}
	}
	return found
}

// device opens a source that has a path of its own. One that is switched off is not even opened.
func device(id uint8, name, description string, wanted func(string) bool, open func() (source.Source, error)) source.Found {
	absent := source.Info{ID: id, Name: name, Description: description, SampleBytes: 1, Credited: true}
	if !wanted(name) {
		return source.Found{Info: absent, Err: errDisabled}
	}
	s, err := open()
	if err != nil {
		return source.Found{Info: absent, Err: err}
	}
	return source.Found{Info: s.Info(), Source: s}
}

func switchOff(f *source.Found) {
	if f.Source != nil {
		f.Source.Close()
		f.Source = nil
	}
	f.Err = errDisabled
}

func (s sources) present() []source.Source {
	var out []source.Source
	for _, f := range s {
		if f.Source != nil {
			out = append(out, f.Source)
		}
	}
	return out
}

func (s sources) absent() []source.Status {
	var out []source.Status
	for _, f := range s {
		if f.Source == nil {
			out = append(out, f.Status())
		}
	}
	return out
}

// credited is how many of the sources that are here count towards seeding.
func (s sources) credited() (n int) {
	for _, f := range s {
		if f.Source != nil && f.Info.Credited {
			n++
		}
	}
	return n
}

// arrival notes the time of a frame, for the source that lives on that.
func (s sources) arrival() {
	for _, f := range s {
		if a, ok := f.Source.(*source.Arrivals); ok {
			a.Mark()
		}
	}
}
