package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/hwrng"
	"github.com/xentropyd/xentropyd/source/tpm"
)

// sources is every source that there can be, in the order of their numbers.
// Whether one that has a Source is here, and stays, shows when it is harvested.
type sources []source.Found

// errDisabled is why a source is absent that the configuration switches off.
var errDisabled = errors.New("switched off by the configuration: see [sources] there")

// findSources makes all sources but those that are switched off, and opens no
// device. The kernel's generator cannot be switched off: it is always mixed in.
func findSources(c config.Sources) sources {
	wanted := func(name string) bool {
		if name == source.NameKernel {
			return true
		}
		return !slices.Contains(c.Disable, name) && (len(c.Enable) == 0 || slices.Contains(c.Enable, name))
	}
	found := sources(source.Probe())
	for i := range found {
		if !wanted(found[i].Info.Name) {
			switchOff(&found[i])
		}
	}
	device := func(name string, s source.Source) {
		f := source.Found{Info: s.Info(), Source: s}
		if !wanted(name) {
			switchOff(&f)
		}
		found = append(found, f)
	}
	for i, path := range c.HWRNG {
		device(source.NameHWRNG, hwrng.New(i+1, path))
	}
	device(source.NameTPM, tpm.New(c.TPM))
	return found
}

func switchOff(f *source.Found) {
	if f.Source != nil {
		f.Source.Close()
		f.Source = nil
	}
	f.Err = errDisabled
}

// present is what there is to harvest.
func (s sources) present() []source.Source {
	var out []source.Source
	for _, f := range s {
		if f.Source != nil {
			out = append(out, f.Source)
		}
	}
	return out
}

// absent is what is never harvested.
func (s sources) absent() []source.Status {
	var out []source.Status
	for _, f := range s {
		if f.Source == nil {
			out = append(out, f.Status())
		}
	}
	return out
}

// sayIfNothingCounts warns once when no credited source is here. To know that
// takes an answer of each, or its read timeout.
func (d *daemon) sayIfNothingCounts(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		credited, asked := 0, true
		for _, s := range d.entropy.Status().Sources {
			if s.Credited && s.State != source.StateAbsent {
				credited++
				asked = asked && s.State != source.StateStarting
			}
		}
		if credited == 0 {
			d.log.Warn("no noise source that counts is here; nothing is served until there is one",
				"see", "xentropyd sources")
		}
		if credited == 0 || asked {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// arrival notes the time of a frame, for the source that lives on that.
func (s sources) arrival() {
	for _, f := range s {
		if a, ok := f.Source.(*source.Arrivals); ok {
			a.Mark()
		}
	}
}
