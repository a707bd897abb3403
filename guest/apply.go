package guest

import (
	"time"

	"github.com/xentropyd/xentropyd/internal/scrub"
	"github.com/xentropyd/xentropyd/protocol"
)

// targetSeed is the size in bytes of what a target is fed: 256 bits, which is
// also the most that it is credited.
const targetSeed = 32

// apply uses a seed: first in the guest's own generator, whose output then
// feeds the kernel, so that the two do not get the same bytes. The outcomes say
// what really happened.
//
// The seed counts as fresh for the machine as it was when the session began,
// not as it is now: it may have been restored meanwhile.
func (g *Guest) apply(seed []byte, credit int, restores uint64) []protocol.Outcome {
	defer scrub.Stack()
	outcomes := make([]protocol.Outcome, 0, protocol.MaxTargets)
	var cpu [targetSeed]byte
	defer clear(cpu[:])
	if g.harvester.Load() == nil {
		g.untested(cpu[:])
	}
	g.noise.Seed(seed, cpu[:])
	outcomes = append(outcomes, protocol.Outcome{Target: protocol.TargetLibrary, OK: true, Credit: uint16(credit)})
	g.wake(len(seed), credit, restores)
	if g.opts.Kernel != nil {
		outcomes = append(outcomes, g.feedKernel(credit))
	}
	g.update(func(*Status) {})
	return outcomes
}

// wake counts a seed that is in use, and tells who waits for one of this
// generation.
func (g *Guest) wake(size, credit int, restores uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.Seeded = true
	h := &g.state.Host
	h.Seeds++
	h.SeedBytes += uint64(size)
	h.CreditedBits += uint64(credit)
	g.lastSeed = time.Now()
	g.seedOf = g.combined(restores)
	close(g.arrived)
	g.arrived = make(chan struct{})
}

// feedKernel gives the kernel bytes of its own, and counts.
func (g *Guest) feedKernel(credit int) protocol.Outcome {
	fresh := make([]byte, targetSeed)
	defer clear(fresh)
	_, err := g.fortuna.Read(fresh)
	credited := 0
	if err == nil {
		credited, err = g.opts.Kernel.Seed(fresh, min(credit, 8*targetSeed))
		credited = max(0, min(credited, 8*targetSeed))
	}
	g.mu.Lock()
	k := &g.state.Kernel
	k.Fed = err == nil
	if err != nil {
		k.Failures++
		k.LastFailure = err.Error()
	} else {
		k.Seeds++
		k.CreditedBits += uint64(credited)
	}
	g.mu.Unlock()
	if err != nil {
		g.opts.Log.Error("kernel not fed", "error", err)
		return protocol.Outcome{Target: protocol.TargetKernel, Detail: err.Error()}
	}
	return protocol.Outcome{Target: protocol.TargetKernel, OK: true, Credit: uint16(credited)}
}
