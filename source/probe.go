package source

import (
	"errors"
	"fmt"
	"slices"
)

// Found is one source that was looked for.
type Found struct {
	Info   Info
	Source Source // nil when it cannot be here
	Err    error  // why, and what to do
}

// Status is the status of a source that is not harvested: absent if it cannot
// be here, else starting.
func (f Found) Status() Status {
	s := newStatus(f.Info)
	if f.Source == nil {
		s.State = StateAbsent
		if f.Err != nil {
			s.LastError = f.Err.Error()
		}
	}
	return s
}

// Probe looks for every source of this package on this machine and returns all
// of them, in the order of their numbers. Without a Source is what this CPU
// does not have. Whether the others give anything shows when they are read,
// which may be [ErrAbsent] now and not later: leave that to a [Harvester]. The
// caller closes the sources.
func Probe() []Found {
	return probe(func(string) bool { return true })
}

// Find returns the sources of this package with these names. A name that is
// unknown or a source that cannot be here is an error, and then none is
// returned.
func Find(names ...string) ([]Source, error) {
	found := probe(func(name string) bool { return slices.Contains(names, name) })
	var out []Source
	var errs []error
	for _, name := range names {
		i := slices.IndexFunc(found, func(f Found) bool { return f.Info.Name == name })
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("find source %q: no such source in this package", name))
		case found[i].Source == nil:
			errs = append(errs, found[i].Err)
		default:
			out = append(out, found[i].Source)
		}
	}
	if err := errors.Join(errs...); err != nil {
		for _, s := range out {
			_ = s.Close()
		}
		return nil, err
	}
	return out, nil
}

// probe tries the sources whose names are wanted.
func probe(want func(name string) bool) []Found {
	var found []Found
	for _, c := range []struct {
		info Info
		open func() (Source, error)
	}{
		{rdrandInfo, openRDRAND},
		{rdseedInfo, openRDSEED},
		{jitterInfo, func() (Source, error) { return NewJitter(), nil }},
		{kernelInfo, openKernel},
		{arrivalsInfo, func() (Source, error) { return NewArrivals(), nil }},
	} {
		if !want(c.info.Name) {
			continue
		}
		f := Found{Info: c.info}
		if s, err := c.open(); err != nil {
			f.Err = err
		} else {
			f.Source, f.Info = s, s.Info()
		}
		found = append(found, f)
	}
	return found
}
