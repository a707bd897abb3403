package host

import "github.com/xentropyd/xentropyd/transport"

// Limits bound what guests can cost.
type Limits struct {
	// Sessions are those in all. Then the newest session of the group with the
	// most makes room for one of a group with fewer.
	Sessions int `toml:"sessions"`

	// SessionsPerGroup are those of one peer group. Its guests together get no
	// more than as many budgets.
	SessionsPerGroup int `toml:"sessions_per_group"`

	SessionsPerGuest int `toml:"sessions_per_guest"` // those of one peer

	// NewSessionsPerSecond are those of one peer group, with a burst of
	// SessionsPerGroup.
	NewSessionsPerSecond float64 `toml:"new_sessions_per_second"`

	// FramesPerSecond are what a session's guest may send before it is slowed
	// down, with a burst of two seconds' worth.
	FramesPerSecond float64 `toml:"frames_per_second"`

	// CPUShare is the part of one core that a guest's sessions may use before
	// they are slowed down, with a burst of half a second. A group has a share
	// for each 16 of SessionsPerGroup.
	CPUShare float64 `toml:"cpu_share"`
}

// Bounds on these limits: they catch slips of the pen rather than narrow
// anybody's choice.
const (
	minSessions = 1
	maxSessions = 1 << 20 // as many descriptors as Linux lets a process have (fs.nr_open)
	minNew      = 0.01    // a session in 100 s
	minFrames   = 0.1     // a frame in 10 s
	maxRate     = 1e6     // per second; no bound, for all that a session can do
	minShare    = 0.001   // of a core: a second in a quarter of an hour
	maxShare    = 1024.0  // cores: more than a session can use, so no bound
)

// DefaultLimits serve a large host, on which no user and no guest can keep the
// others out or use up the machine.
func DefaultLimits() Limits {
	return Limits{
		Sessions: 4096, SessionsPerGroup: 64, SessionsPerGuest: 16,
		NewSessionsPerSecond: 100, FramesPerSecond: 50, CPUShare: 0.05,
	}
}

// Check says what is wrong.
func (l Limits) Check() []transport.Fault {
	var f faults
	between(&f, "sessions", l.Sessions, minSessions, maxSessions)
	between(&f, "sessions_per_group", l.SessionsPerGroup, minSessions, maxSessions)
	between(&f, "sessions_per_guest", l.SessionsPerGuest, minSessions, maxSessions)
	between(&f, "new_sessions_per_second", l.NewSessionsPerSecond, minNew, maxRate)
	between(&f, "frames_per_second", l.FramesPerSecond, minFrames, maxRate)
	between(&f, "cpu_share", l.CPUShare, minShare, maxShare)
	return f
}
