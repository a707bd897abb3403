//go:build lab && linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// seededWithin is how soon a guest must be seeded once it can be. Times come
// from the clocks inside, which the lab's own way there does not slow down.
const seededWithin = 5 * time.Second

func soon() time.Duration { return time.Duration(patience * float64(seededWithin)) }

// follower is a guest in which entropy-guest runs from the start.
type follower struct {
	xen.Place
	dom0   *xen.Dom0
	config xen.GuestConfig
}

// follow starts a guest with entropy-guest in it, and waits until its kernel is
// seeded.
func follow(t *testing.T, d *xen.Dom0, c xen.GuestConfig) follower {
	c.Follow = true
	f := follower{start(t, d, c), d, c}
	f.seededFromStart(t)
	return f
}

// following is what entropy-guest says of itself.
type following struct {
	Started time.Time    `json:"started"`
	Updated time.Time    `json:"updated"`
	Guest   guest.Status `json:"guest"`
}

func (f follower) says(t *testing.T) following {
	t.Helper()
	s, err := f.ask(t.Context())
	require.NoError(t, err)
	return s
}

func (f follower) ask(ctx context.Context) (following, error) {
	out, err := f.Run(ctx, "entropy-guest", "status", "--json")
	if err != nil {
		return following{}, err
	}
	var s struct{ Run following }
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return following{}, fmt.Errorf("%w: %s", err, out)
	}
	return s.Run, nil
}

// seededFromStart waits for the first seed of a guest that has just booted. It
// asks the guest itself: nobody else's clock knows when entropy-guest began.
func (f follower) seededFromStart(t *testing.T) {
	var s following
	poll(t, f.String()+" is seeded", func() (err error) {
		if s, err = f.ask(t.Context()); err == nil && s.Guest.KernelSeeds == 0 {
			err = fmt.Errorf("%+v", s.Guest)
		}
		return err
	})
	require.Zero(t, s.Guest.KernelFailures)
	if s.Guest.KernelSeeds == 1 { // else the first one's time is gone
		require.NotNil(t, s.Guest.LastSeedAge)
		took := s.Updated.Sub(s.Started) - time.Duration(*s.Guest.LastSeedAge*float64(time.Second))
		t.Logf("%s: seeded %v after entropy-guest began", f, took.Round(time.Millisecond))
		require.Less(t, took, soon())
	}
}

// seededSince waits until a guest's kernel is seeded after a moment of dom0's
// clock, soon, and says how long after.
func (s *daemon) seededSince(
	t *testing.T, f follower, since time.Time, why string,
) (g host.GuestStatus, took time.Duration) {
	g, at := s.acknowledged(t, f.config.Name, since)
	took = at.Sub(since)
	t.Logf("%s: kernel seeded %v %s", f, took.Round(time.Millisecond), why)
	require.Less(t, took, soon())
	return g, took
}

// restored saves a guest, restores it and lets it run; since is when.
func (f follower) restored(t *testing.T) (since time.Time) {
	file := saved(t, f.dom0, f.config.Name)
	noZombies(t, f.dom0)
	require.NoError(t, f.dom0.Restore(t.Context(), f.config, file))
	since = unpause(t, f.dom0, f.config.Name)
	time.Sleep(2 * time.Second) // to ask would cost it time
	return since
}

// comesAgain makes a guest go and come by itself, under another domain number,
// and sees it seeded.
func (f follower) comesAgain(t *testing.T, leave func()) {
	old := domid(t, f.dom0, f.config.Name)
	leave()
	poll(t, "it comes again", func() error {
		out, err := f.dom0.Run(t.Context(), "xl", "domid", f.config.Name)
		if err == nil && strings.TrimSpace(out) == fmt.Sprint(old) {
			err = fmt.Errorf("it is domain %d still", old)
		}
		return err
	})
	require.NoError(t, f.dom0.Ready(t.Context(), f.config.Name))
	f.seededFromStart(t)
}

// reboots has xl reboot it.
func (f follower) reboots(t *testing.T) {
	f.comesAgain(t, func() { run(t, f.dom0, "xl", "reboot", "-F", f.config.Name) })
}
