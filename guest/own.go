package guest

import (
	"context"
	"time"

	"github.com/xentropyd/xentropyd/internal/gather"
	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/source"
)

// To look for the guest's own sources and to test them at their start takes the
// one CPU of a small machine longer than the host takes to answer. So they are
// started when the host's first seed was acknowledged or ownDelay is over, and
// a moment later in case that seed was all that was wanted. What the CPU's
// instruction gives at once is mixed into it, see untested.
const (
	ownDelay  = 2 * time.Second // less than hostTime: when that is over they have something to seed from
	ownMoment = 100 * time.Millisecond
)

// startOwn starts the own sources, at once when they were given or when there
// is no host.
func (g *Guest) startOwn(run context.Context) {
	if g.dial == nil || g.opts.Sources != nil {
		h := g.newHarvester()
		g.wg.Go(func() { g.harvest(run, h) })
		return
	}
	g.wg.Go(func() {
		select {
		case <-g.acknowledged:
		case <-time.After(ownDelay):
		case <-run.Done():
		}
		if wait.For(run, ownMoment) {
			g.harvest(run, g.newHarvester())
		}
	})
}

// seededOnce is called when a seed of the host was used, and acknowledged where
// the protocol has that.
func (g *Guest) seededOnce() { g.firstSeed.Do(func() { close(g.acknowledged) }) }

func (g *Guest) newHarvester() *source.Harvester {
	sources := g.opts.Sources
	if sources == nil {
		for _, f := range source.Probe() {
			if f.Source == nil || f.Info.ID == source.IDArrivals || f.Info.ID == source.IDKernel && hooked {
				continue
			}
			sources = append(sources, f.Source)
		}
	}
	h := source.NewHarvester(sources, g.noise.Absorb, source.WithLogger(g.opts.Log))
	h.Demand(gather.Need)
	g.harvester.Store(h)
	return h
}

func (g *Guest) harvest(run context.Context, h *source.Harvester) {
	if err := h.Run(run); err != nil {
		g.opts.Log.Warn("own noise sources", "error", err)
	}
}

// own is the state of the own sources, empty before they were started.
func (g *Guest) own() []source.Status {
	if h := g.harvester.Load(); h != nil {
		return h.Status()
	}
	return []source.Status{}
}

// instruction fills b, a multiple of 8 bytes, from a CPU instruction whose
// health tests pass, and says whether there is one.
func (g *Guest) instruction(b []byte) bool {
	for _, s := range g.own() {
		if s.Healthy && isInstruction(s.ID) && sampled(s.Name, b) {
			return true
		}
	}
	return false
}

// untested is instruction without the tests, which may not be done yet: for
// what is mixed in and relied on by nobody. Without such an instruction b stays
// as it is.
func (g *Guest) untested(b []byte) {
	if g.opts.Sources != nil {
		return // the caller chose
	}
	_ = sampled(source.NameRDRAND, b) || sampled(source.NameRDSEED, b)
}

func isInstruction(id uint8) bool {
	return id == source.IDRDRAND || id == source.IDRDSEED || id == source.IDRNDR
}

func sampled(name string, b []byte) bool {
	found, err := source.Find(name)
	if err != nil {
		return false
	}
	defer found[0].Close()
	n, err := found[0].Sample(context.Background(), b)
	return err == nil && n == len(b)
}
