package scenario

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// seededWithin is how soon a guest must be seeded once it can be. Times come from the clocks inside, which the lab's own way there does
// not slow down.
const seededWithin = 5 * time.Second

func soon(d *xen.Dom0) time.Duration { return time.Duration(d.Patience * float64(seededWithin)) }

// follower is a guest in which entropy-guest runs from the start.
type follower struct {
	xen.Place
	dom0   *xen.Dom0
	config xen.GuestConfig
}

// follow starts a guest with entropy-guest in it, and waits until its kernel is seeded.
func follow(t *report.T, d *xen.Dom0, c xen.GuestConfig) follower {
	c.Follow = true
	if c.Type == "" {
		c.Type = xen.PV
	}
	p, err := d.Start(t.Context(), c)
	require.NoError(t, err)
	f := follower{p, d, c}
	f.seededFromStart(t)
	return f
}

// following is what entropy-guest says of itself.
type following struct {
	Started time.Time    `json:"started"`
	Updated time.Time    `json:"updated"`
	Guest   guest.Status `json:"guest"`
}

func (f follower) says(t *report.T) (following, error) {
	out, err := f.Run(t.Context(), "entropy-guest", "status", "--json")
	if err != nil {
		return following{}, err
	}
	var s struct{ Run following }
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return following{}, fmt.Errorf("%w: %s", err, out)
	}
	return s.Run, nil
}

// seededFromStart waits for the first seed of a guest that has just booted. It asks the guest itself: nobody else's clock knows
// when entropy-guest began.
func (f follower) seededFromStart(t *report.T) {
	var s following
	poll(t, f.String()+" is seeded", func() (err error) {
		if s, err = f.says(t); err == nil && s.Guest.Kernel.Seeds == 0 {
			err = fmt.Errorf("%+v", s.Guest)
		}
		return err
	})
	require.Zero(t, s.Guest.Kernel.Failures)
	if s.Guest.Kernel.Seeds == 1 { // else the first one's time is gone
		require.NotNil(t, s.Guest.Host.LastSeedAge)
		took := s.Updated.Sub(s.Started) - time.Duration(*s.Guest.Host.LastSeedAge*float64(time.Second))
		t.Logf("%s: seeded %v after entropy-guest began", f, took.Round(time.Millisecond))
		require.Less(t, took, soon(f.dom0))
	}
}

// seededSince waits until the daemon has the guest's word that its kernel was seeded after a moment of dom0's clock, and says how long after.
func (s *daemon) seededSince(t *report.T, f follower, since time.Time, why string) (g host.GuestStatus, took time.Duration) {
	var at time.Time
	poll(t, f.String()+" is seeded "+why, func() error {
		status, err := s.status(t)
		if err != nil {
			return err
		}
		g, at, err = kernelSeeded(status, f.config.Name, since)
		return err
	})
	took = at.Sub(since)
	t.Logf("%s: kernel seeded %v %s", f, took.Round(time.Millisecond), why)
	require.Less(t, took, soon(s.d))
	require.Zero(t, g.Violations)
	require.Zero(t, g.Failures)
	return g, took
}
