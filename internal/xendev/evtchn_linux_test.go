package xendev_test

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
)

func twoDomains(t *testing.T) (a, b *xendevtest.Domain) {
	x, err := xendevtest.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x.Domain(1), x.Domain(2)
}

func open(t *testing.T, sys xendev.System) *xendev.Evtchn {
	e, err := xendev.OpenEvtchn(sys)
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestEvents(t *testing.T) {
	a, b := twoDomains(t)
	ea, eb := open(t, a.Process()), open(t, b.Process())
	pa, err := ea.BindUnbound(2)
	require.NoError(t, err)
	_, err = eb.BindInterdomain(1, pa+1)
	require.ErrorIs(t, err, syscall.EINVAL)
	_, err = eb.BindInterdomain(3, pa)
	require.ErrorIs(t, err, syscall.ESRCH)
	pb, err := eb.BindInterdomain(1, pa)
	require.NoError(t, err)

	// Pending once right after the binding.
	got, err := eb.Pending()
	require.NoError(t, err)
	require.Equal(t, pb, got)

	// Masked: what comes is kept as one.
	for range 3 {
		require.NoError(t, ea.Notify(pa))
	}
	require.NoError(t, eb.SetDeadline(time.Now().Add(5*time.Millisecond)))
	_, err = eb.Pending()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, eb.SetDeadline(time.Time{}))
	require.NoError(t, eb.Unmask(pb))
	got, err = eb.Pending()
	require.NoError(t, err)
	require.Equal(t, pb, got)
	require.NoError(t, eb.Unmask(pb))

	// One that waits is woken, at once and when asleep.
	for _, pause := range []time.Duration{0, 3 * time.Millisecond} {
		var wg sync.WaitGroup
		wg.Go(func() { time.Sleep(pause); _ = ea.Notify(pa) })
		_, err = eb.Pending()
		require.NoError(t, err)
		require.NoError(t, eb.Unmask(pb))
		wg.Wait()
	}

	// Close wakes too.
	done := make(chan error, 1)
	go func() { _, err := eb.Pending(); done <- err }()
	time.Sleep(3 * time.Millisecond)
	require.NoError(t, eb.Close())
	require.ErrorIs(t, <-done, xendev.ErrClosed)
	require.ErrorIs(t, eb.Notify(pb), xendev.ErrClosed)
	require.ErrorIs(t, eb.Unmask(pb), xendev.ErrClosed)
	require.NoError(t, ea.Notify(pa)) // lost
	require.NoError(t, ea.Unbind(pa))
	require.ErrorIs(t, ea.Notify(pa), syscall.ENOTCONN)
	require.Equal(t, xendevtest.Counts{}, a.Counts())
	require.Equal(t, xendevtest.Counts{}, b.Counts())
}

func TestSharedPages(t *testing.T) {
	a, b := twoDomains(t)
	ga, err := xendev.OpenGntalloc(a.Process())
	require.NoError(t, err)
	ours, refs, err := ga.Alloc(2, 3)
	require.NoError(t, err)
	gb, err := xendev.OpenGntdev(b.Process())
	require.NoError(t, err)
	theirs, err := gb.Map(1, []uint32{refs[2], refs[0]}) // in any order
	require.NoError(t, err)
	require.Equal(t, 2, theirs.Pages())
	ours.Bytes()[2*xendev.PageSize] = 42
	theirs.Bytes()[xendev.PageSize] = 43
	require.Equal(t, byte(42), theirs.Bytes()[0])
	require.Equal(t, byte(43), ours.Bytes()[0])
	_, err = gb.Map(1, []uint32{refs[0], 999})
	require.ErrorIs(t, err, syscall.EINVAL)
	require.Equal(t, 2, b.Counts().Mappings)

	// Given back, but counted until the other side unmaps.
	require.NoError(t, ours.Unmap())
	require.Equal(t, 2, a.Counts().Grants)
	require.NoError(t, theirs.Unmap())
	require.Equal(t, xendevtest.Counts{}, a.Counts())
	require.Equal(t, xendevtest.Counts{}, b.Counts())
	require.NoError(t, ga.Close())
	require.NoError(t, gb.Close())
}

// Both devices clear the byte and send the event, for an orderly unmapping as
// for a kill.
func TestNotifyUnmap(t *testing.T) {
	for _, who := range []string{"granter", "mapper"} {
		for _, how := range []string{"unmap", "kill"} {
			t.Run(who+" "+how, func(t *testing.T) {
				a, b := twoDomains(t)
				pra, prb := a.Process(), b.Process()
				ea, eb := open(t, pra), open(t, prb)
				pa, err := ea.BindUnbound(2)
				require.NoError(t, err)
				pb, err := eb.BindInterdomain(1, pa)
				require.NoError(t, err)
				_, err = eb.Pending()
				require.NoError(t, err)
				require.NoError(t, eb.Unmask(pb))
				ga, err := xendev.OpenGntalloc(pra)
				require.NoError(t, err)
				ours, refs, err := ga.Alloc(2, 1)
				require.NoError(t, err)
				gb, err := xendev.OpenGntdev(prb)
				require.NoError(t, err)
				theirs, err := gb.Map(1, refs)
				require.NoError(t, err)
				ours.Bytes()[20], ours.Bytes()[21] = 1, 1
				m, e, p, rest := ours, eb, pra, theirs
				at := 21
				if who == "mapper" {
					m, e, p, rest, at = theirs, ea, prb, ours, 20
					require.NoError(t, theirs.NotifyUnmap(20, pb))
				} else {
					require.NoError(t, ours.NotifyUnmap(21, pa))
				}
				require.NoError(t, ga.Close())
				require.NoError(t, gb.Close())
				if how == "kill" {
					p.Kill()
				} else {
					require.NoError(t, m.Unmap())
				}
				_, err = e.Pending()
				require.NoError(t, err)
				require.Zero(t, rest.Bytes()[at])
				require.Equal(t, byte(1), rest.Bytes()[20+21-at])
				require.NoError(t, rest.Unmap())
				_ = m.Unmap()
				_ = ea.Close()
				_ = eb.Close()
				require.Equal(t, xendevtest.Counts{}, a.Counts())
				require.Equal(t, xendevtest.Counts{}, b.Counts())
			})
		}
	}
}
