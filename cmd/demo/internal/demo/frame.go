package demo

import (
	"slices"
	"time"

	"github.com/xentropyd/xentropyd/source"
)

// Event is something that happened, and when since the start.
type Event struct {
	At   time.Duration
	Text string
}

// Frame is what there is to see at one moment.
type Frame struct {
	At      time.Duration
	Daemon  string
	PID     int
	Sources []source.Status
	Guests  []FrameGuest
	Events  []Event
}

// FrameGuest is one guest in a Frame.
type FrameGuest struct {
	Name       string
	PID        int
	State      string
	Seeds      uint64
	Bytes      uint64
	Reconnects uint64
}

func (s *stage) frame() Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := Frame{
		At: time.Since(s.began), Daemon: s.state,
		Sources: slices.Clone(s.sources), Events: slices.Clone(s.events),
	}
	if s.daemon != nil {
		f.PID = s.daemon.pid()
	}
	for _, a := range s.guests {
		t := a.total()
		g := FrameGuest{Name: a.name, State: "starting", Seeds: t.Seeds, Bytes: t.Bytes, Reconnects: t.Reconnects}
		switch {
		case a.child == nil && a.kills > 0:
			g.State = "killed"
		case a.now.Seeded && a.now.Connected:
			g.State = "seeded"
		case a.now.Seeded:
			g.State = "alone, reading on"
		}
		if a.child != nil {
			g.PID = a.child.pid()
		}
		f.Guests = append(f.Guests, g)
	}
	return f
}
