package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// renewWait is how long a read waits for the host's seed when the
// generation changed and the guest has no fast noise source.
const renewWait = time.Second

// freshness is what Fortuna asks at each read. Its generation combines the
// host's with the machine's own restores.
type freshness struct{ g *Guest }

// Generation is the present combined one.
func (f freshness) Generation() uint64 { return f.g.combined(f.g.restores()) }

// restores changes when the machine's state may have been copied, by what its
// own counter and the channel tell.
func (g *Guest) restores() uint64 { return g.opts.Restores() + g.told.Load() }

// combined is another number after each new generation of the host's and after
// each change of restores: the present one if restores is.
func (g *Guest) combined(restores uint64) uint64 {
	return g.hostChanges.Load()*0x9e3779b97f4a7c15 + restores // an odd factor: distinct counts stay distinct
}

// Renew gives bytes that a copy of this machine cannot have: from the CPU's own
// generator if there is a healthy one, else it waits for a seed of the host
// that came after the change.
func (f freshness) Renew(generation uint64) ([]byte, error) {
	fresh := make([]byte, 64)
	f.g.systemRNG.Fill(fresh[:32]) // the kernel may be a clone too: mixed in, not relied on
	// The time differs between copies, if little else does.
	fresh = binary.LittleEndian.AppendUint64(fresh, uint64(time.Now().UnixNano()))
	if f.g.instruction(fresh[32:64]) {
		return fresh, nil
	}
	if f.g.dial == nil {
		return nil, errors.New("the machine's state may have been copied, " +
			"and there is neither a healthy CPU random number instruction nor a host")
	}
	f.g.redial()
	wait := time.NewTimer(renewWait)
	defer wait.Stop()
	for {
		f.g.mu.Lock()
		arrived, seedOf := f.g.arrived, f.g.seedOf
		f.g.mu.Unlock()
		if seedOf == generation {
			return fresh, nil // the host's seed is in the generator already
		}
		select {
		case <-arrived:
		case <-wait.C:
			return nil, fmt.Errorf("the machine's state may have been copied, "+
				"and the host has sent no seed within %v", renewWait)
		}
	}
}

// redial ends a session that began before the machine may have been copied:
// what it brings may be in a copy's memory too. A session begun afterwards has
// a nonce that no copy shares.
func (g *Guest) redial() {
	g.mu.Lock()
	s := g.session
	g.mu.Unlock()
	if s != nil && s.restores != g.restores() {
		s.rw.Close()
	}
}
