package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
)

// GuestCommand is the name of the hidden command that calls Guest.
const GuestCommand = "guest"

const guestCount = 3

// The play's times. What is waited for has a limit each, and the whole ends
// before totalTime whatever happens.
const (
	calm      = 2500 * time.Millisecond // everybody is seeded and reads
	guestAway = 800 * time.Millisecond
	hostAway  = 1800 * time.Millisecond
	totalTime = 17 * time.Second
	waitLimit = 6 * time.Second
)

// ErrNeedsLinux says that there is no carrier for the demo on this system.
var ErrNeedsLinux = errors.New("the demo needs Linux: its guests share memory by memfd, and this is " + runtime.GOOS)

// Run plays, with the xentropyd at a path, and returns what came of it. show is
// called at each event and five times a second, by several goroutines. Whatever
// happens, every process that was started has ended and every file is removed
// when Run returns. An error says that the play could not be played to its end;
// what did not go as promised is in Result.Problems.
func Run(ctx context.Context, xentropyd string, show func(Frame)) (_ Result, err error) {
	if runtime.GOOS != "linux" {
		return Result{}, ErrNeedsLinux
	}
	self, err := os.Executable()
	if err != nil {
		return Result{}, fmt.Errorf("find this program to start it again: %w", err)
	}
	s, err := newStage(self, xentropyd, show)
	if err != nil {
		return Result{}, err
	}
	late := fmt.Errorf("the demo did not end within %v; is the machine very busy?", totalTime)
	play, cancel := context.WithTimeoutCause(ctx, totalTime, late)
	var wg sync.WaitGroup
	wg.Go(func() { s.watch(play) })
	var r Result
	err = s.play(play, &r)
	if play.Err() != nil {
		err = context.Cause(play)
	}
	s.look(play)
	cancel()
	wg.Wait()
	if e := s.clear(); e != nil {
		err = errors.Join(err, fmt.Errorf("clear up: %w", e))
	}
	s.conclude(&r)
	return r, err
}

// play is the play itself.
func (s *stage) play(ctx context.Context, r *Result) error {
	s.say("starting the daemon with every noise source that is here")
	if err := s.startDaemon(); err != nil {
		return err
	}
	start := time.Now()
	if err := s.seeded(ctx, waitLimit); err != nil {
		return err
	}
	r.SeededIn = seconds(time.Since(start))
	s.say("the daemon is seeded; starting %d guests", guestCount)
	for _, a := range s.guests {
		if err := s.startGuest(a); err != nil {
			return err
		}
	}
	seeded := s.every(func(a *actor) bool { return a.now.Seeded && a.now.Connected })
	if !until(ctx, waitLimit, seeded) {
		return s.notSeeded()
	}
	s.say("all guests are seeded and read random bytes without pause")
	if !wait.For(ctx, calm) {
		return nil
	}

	victim := s.guests[1]
	s.killGuest(victim)
	s.say("%s is killed (SIGKILL)", victim.name)
	if !wait.For(ctx, guestAway) {
		return nil
	}
	start = time.Now()
	if err := s.startGuest(victim); err != nil {
		return err
	}
	if !until(ctx, waitLimit, seeded) {
		return s.notSeeded()
	}
	r.GuestBackIn = seconds(time.Since(start))
	s.say("%s is started again, and seeded", victim.name)
	if !wait.For(ctx, calm/2) {
		return nil
	}
	return s.secondAct(ctx, r)
}

// secondAct is about the daemon: it is killed, comes back, and begins a new
// generation.
func (s *stage) secondAct(ctx context.Context, r *Result) error {
	before := s.counts()
	start := time.Now()
	s.killDaemon(ctx)
	s.say("the daemon is killed (SIGKILL)")
	if !wait.For(ctx, hostAway) {
		return nil
	}
	// Every guest must have gone on: five reports, each with more bytes than
	// there were at the time of the kill.
	r.ReadOn = until(ctx, waitLimit/2, func() bool { return s.wentOn(before) })
	if err := s.startDaemon(); err != nil {
		return err
	}
	r.Outage = seconds(time.Since(start))
	if err := s.seeded(ctx, waitLimit); err != nil {
		return err
	}
	s.say("the daemon is started again; it was away for %.1f s", r.Outage)
	back := s.every(func(a *actor) bool { return a.now.Connected && a.now.Reconnects > before[a.name].reconnects })
	if !until(ctx, waitLimit, back) {
		return s.notSeeded()
	}
	s.say("all guests have connected again by themselves")
	if !wait.For(ctx, calm/2) {
		return nil
	}

	renewed, err := s.client.NewGeneration(ctx, "")
	if err != nil {
		return err
	}
	s.say("a new generation begins, as after a clone: fresh seeds for all")
	r.Renewed = until(ctx, waitLimit/2, s.every(func(a *actor) bool { return a.now.Generation == renewed.Generation }))
	wait.For(ctx, calm/2)
	s.say("done")
	return nil
}

// count is how far a guest had come.
type count struct{ bytes, reports, reconnects uint64 }

func (s *stage) counts() map[string]count {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string]count)
	for _, a := range s.guests {
		m[a.name] = count{a.now.Bytes, a.reports, a.now.Reconnects}
	}
	return m
}

// wentOn says whether every guest has read on since then. Two reports may have
// been on their way at the time.
func (s *stage) wentOn(since map[string]count) bool {
	return s.every(func(a *actor) bool {
		c := since[a.name]
		return a.reports >= c.reports+5 && a.now.Bytes > c.bytes && a.now.Errors == 0
	})()
}

// notSeeded says which guest is not, and why.
func (s *stage) notSeeded() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.guests {
		if a.child == nil || a.now.Seeded && a.now.Connected {
			continue
		}
		select {
		case <-a.child.ended:
			return a.child.trouble(a.name)
		default:
			return fmt.Errorf("%s was not seeded within %v", a.name, waitLimit)
		}
	}
	return errors.New("a guest was not seeded again in time")
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
