package config

import (
	"fmt"

	"github.com/xentropyd/xentropyd/internal/rights"
	"github.com/xentropyd/xentropyd/transport"
)

// Rights says who may do what, beside root and the daemon's own user, who may
// do everything. An entry is a user ("anna" or "1000"), a group ("@wheel" or
// "@50"), or "*" for everybody whom the sockets' file modes let in.
type Rights struct {
	Look   []string `toml:"look"`   // see status, sources, guests and metrics
	Guest  []string `toml:"guest"`  // be a guest at a socket of this machine
	Change []string `toml:"change"` // begin a new generation
}

// DefaultRights leave it to the sockets' modes who looks and who is a guest.
func DefaultRights() Rights {
	return Rights{Look: []string{rights.Everybody}, Guest: []string{rights.Everybody}, Change: []string{}}
}

// Check says what is wrong. It looks names up on this machine.
func (r *Rights) Check() (faults []transport.Fault) {
	for _, l := range []struct {
		key  string
		list []string
	}{{"look", r.Look}, {"guest", r.Guest}, {"change", r.Change}} {
		for i, e := range l.list {
			if err := rights.Check(e); err != nil {
				faults = append(faults, transport.Fault{Key: fmt.Sprintf("%s[%d]", l.key, i), Text: err.Error()})
			}
		}
	}
	return faults
}
