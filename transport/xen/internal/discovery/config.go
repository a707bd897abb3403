package discovery

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/internal/glob"
	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/xenstore"
)

// Config says which guests of a Xen host are served, and over what: the table
// [xen] of the configuration.
type Config struct {
	// Allow and Deny are patterns for a guest's name (as xl shows it) or UUID:
	// * stands for anything, ? for one character, [a-z] for a range. Deny wins;
	// an empty Allow allows all.
	Allow []string `toml:"allow"`
	Deny  []string `toml:"deny"`

	VChan   bool `toml:"vchan"`   // connect to the vchans that guests offer
	Console bool `toml:"console"` // plug a PV console into each guest
}

// DefaultConfig serves all guests.
func DefaultConfig() Config {
	return Config{Allow: []string{}, Deny: []string{}, VChan: true, Console: true}
}

// Check says what is wrong. used is whether the host looks for guests.
func (c *Config) Check(used bool) (faults []transport.Fault) {
	for _, l := range []struct {
		key  string
		list []string
	}{{"allow", c.Allow}, {"deny", c.Deny}} {
		for i, p := range l.list {
			if !glob.Good(p) {
				faults = append(faults, transport.Fault{Key: fmt.Sprintf("%s[%d]", l.key, i), Text: glob.Bad(p)})
			}
		}
	}
	if used && !c.VChan && !c.Console {
		faults = append(faults, transport.Fault{
			Text: "neither vchan nor console; leave \"xen:\" out of listen instead",
		})
	}
	return faults
}

// Options are what is needed to look for guests.
type Options struct {
	Config

	// Store is used until Close has returned, and not closed. It should
	// reconnect by itself (xenstore.WithReconnect).
	Store *xenstore.Client

	Instance string // what to announce, new at each start of the daemon
	Log      *slog.Logger

	System xendev.System // nil is this machine
}

const (
	parallel = 16 // vchans and consoles that are being connected at once
	maxOrder = 16 // the largest vchan ring that a guest may bring, as a power of two
)

// Our own limits. None of them is reached by a guest that behaves.
const (
	lookRate     = 10 // looks per second and watch that a guest can cause
	lookBurst    = 50
	connectRate  = 1 // connections per second, guest and carrier
	connectBurst = 16
	maxBad       = 4 // offers in a row that fail; further ones are looked at after firstRetry to lastRetry

	lookupTime  = 2 * time.Second  // for one look at what a guest offers, which waits for xenstored alone
	goodbyeTime = 2 * time.Second  // for the host to end its sessions when we close
	drainTime   = time.Second      // for a guest to read what is left in its console
	askTime     = time.Second      // for a guest's driver to agree to unplug
	cleanTime   = 10 * time.Second // for taking nodes away, with hundreds of guests at once
	rescanTime  = time.Minute      // between two looks without a reason

	firstRetry = time.Second
	lastRetry  = time.Minute

	// A restored Linux does not look at a console that it knew and that was
	// away when it resumed: it must see it go first. So one that is not taken
	// up is taken away and plugged again, less and less often: a guest that is
	// just booting does not mind.
	firstReplug = 1500 * time.Millisecond
	lastReplug  = 5 * time.Minute
	absentTime  = 300 * time.Millisecond // long enough for the guest to see that it is not there
)
