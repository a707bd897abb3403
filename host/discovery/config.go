package discovery

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/internal/instance"
	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/xenstore"
)

// Port is the vchan port at which guests offer, the last element of the path.
const Port = "entropy"

// Config is what to look for. The zero value of each field but Store means its default.
type Config struct {
	// Store is used until Close has returned, and not closed. It should reconnect by itself (xenstore.WithReconnect).
	Store *xenstore.Client

	// Allow and Deny are patterns for a guest's name (as xl shows it) or UUID: * stands for anything, ? for one character, [a-z]
	// for a range. Deny wins; an empty Allow allows all.
	Allow, Deny []string

	NoVChan   bool // connect no vchans
	NoConsole bool // plug no consoles

	Instance string // what to announce, new at each start of the daemon; one of internal/instance
	Parallel int    // vchans and consoles that are being connected at once; 16
	MaxOrder uint16 // the largest vchan ring that a guest may bring, as a power of two; 16

	Log *slog.Logger // slog.Default()

	// System is for tests; nil is this machine.
	System xendev.System
}

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

	// A restored Linux does not look at a console that it knew and that was away when it resumed: it must see it go
	// first. So one that is not taken up is taken away and plugged again, less and less often: a guest that is
	// just booting does not mind.
	firstReplug = 1500 * time.Millisecond
	lastReplug  = 5 * time.Minute
	absentTime  = 300 * time.Millisecond // long enough for the guest to see that it is not there
)

func (c Config) complete() (Config, error) {
	if c.Store == nil {
		return c, errors.New("discovery needs a xenstore client")
	}
	if c.Parallel <= 0 {
		c.Parallel = 16
	}
	if c.MaxOrder == 0 {
		c.MaxOrder = 16
	}
	if c.Instance == "" {
		name := instance.New()
		c.Instance = hex.EncodeToString(name[:])
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	for _, list := range [][]string{c.Allow, c.Deny} {
		for _, p := range list {
			if err := CheckPattern(p); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}
