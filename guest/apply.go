package guest

import (
	"time"

	"github.com/xentropyd/xentropyd/internal/scrub"
	"github.com/xentropyd/xentropyd/protocol"
)

// targetSeed is the size in bytes of what a target is fed: 256 bits, which is also the most that it is credited.
const targetSeed = 32

// apply uses a seed: first in the guest's own generator, whose output then feeds the other targets, so that no two of them get the
// same bytes. The outcomes say what really happened.
//
// The seed counts as fresh for the value that the caller's counter had when the session began, not for the one it has now.
func (g *Guest) apply(seed []byte, credit int, external uint64) []protocol.Outcome {
	defer scrub.Stack()
	outcomes := make([]protocol.Outcome, 0, protocol.MaxTargets)
	var cpu [targetSeed]byte
	defer clear(cpu[:])
	if g.harvester.Load() == nil {
		g.untested(cpu[:])
	}
	g.pool.Seed(seed, cpu[:])
	outcomes = append(outcomes, protocol.Outcome{Target: protocol.TargetLibrary, OK: true, Credit: uint16(credit)})
	g.wake(g.generationAt(external))
	if g.cfg.kernel != nil {
		outcomes = append(outcomes, g.feed(protocol.TargetKernel, g.cfg.kernel, credit))
	}
	for _, t := range g.cfg.targets {
		outcomes = append(outcomes, g.feed(protocol.TargetApplication, t, credit))
	}
	g.note(seed, credit, outcomes)
	return outcomes
}

// wake tells who waits for a seed of this generation that it is in use.
func (g *Guest) wake(generation uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.Seeded, g.state.HostSeeded = true, true
	g.freshFor = generation
	close(g.arrived)
	g.arrived = make(chan struct{})
}

// feed gives one target bytes of its own.
func (g *Guest) feed(kind protocol.Target, t Target, credit int) protocol.Outcome {
	fresh := make([]byte, targetSeed)
	defer clear(fresh)
	_, err := g.fortuna.Read(fresh)
	credited := 0
	if err == nil {
		credited, err = t.Seed(fresh, min(credit, 8*targetSeed))
	}
	if err != nil {
		g.cfg.log.Error("target not seeded", "target", kind.String(), "error", err)
		return protocol.Outcome{Target: kind, Detail: err.Error()}
	}
	return protocol.Outcome{Target: kind, OK: true, Credit: uint16(max(0, min(credited, 8*targetSeed)))}
}

// note counts a seed that was used.
func (g *Guest) note(seed []byte, credit int, outcomes []protocol.Outcome) {
	g.update(func(s *Status) {
		for _, o := range outcomes {
			switch {
			case !o.OK:
				s.LastFailure = o.Target.String() + ": " + o.Detail
				if o.Target == protocol.TargetKernel {
					s.KernelFailures++
				}
			case o.Target == protocol.TargetKernel:
				s.KernelSeeds++
				s.KernelCreditedBits += uint64(o.Credit)
			case o.Target == protocol.TargetLibrary:
				s.Seeds++
				s.SeedBytes += uint64(len(seed))
				s.CreditedBits += uint64(credit)
				g.lastSeed = time.Now() // update holds the lock that guards it
			}
		}
	})
}
