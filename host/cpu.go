package host

import (
	"time"

	"github.com/xentropyd/xentropyd/internal/cputime"
	"github.com/xentropyd/xentropyd/transport"
)

// Bounds on the CPU time of guests; the share itself is configured.
const (
	// sessionsPerShare says how many guests' shares a group has, so that nobody
	// gets more by coming under ever new names: one for so many of the sessions
	// that it may have.
	sessionsPerShare = 16

	// cpuBurst is how much CPU time a guest that did nothing may cause at once,
	// so that a handshake is never held up.
	cpuBurst = 500 * time.Millisecond

	// What it costs to have a session's goroutine sleep and wake, beyond what
	// its own thread sees of it: the runtime's and the kernel's part, on other
	// threads, and what a back end does before it returns from its wait. It is
	// taken for as much as the goroutine used since it woke, which is little
	// where little was to be done, and within these bounds. With it
	// BenchmarkByteByByte shows about as much as the process uses, where that
	// is much.
	wakeLeast = 15 * time.Microsecond
	wakeMost  = 300 * time.Microsecond

	// A guest over its share sleeps longPause at a time at most, so that it
	// hears of a new generation, and owes at least shortPause before it sleeps
	// at all: a timer costs something too.
	longPause  = 4 * time.Second
	shortPause = 100 * time.Millisecond
)

// metered is a session's Conn, with the CPU time of the session's goroutine.
// Except for the deadlines and Close, its methods are for that goroutine alone.
type metered struct {
	transport.Conn
	meter   *cputime.Meter
	sum     *cputime.Sum
	awake   bool
	span    time.Duration // used since it woke
	shares  []*cputime.Share
	owed    time.Duration // until then it should sleep, as of the last count
	slowed  func()
	quit    <-chan struct{} // ends a pause
	longest time.Duration   // of one pause
	tells   bool            // Conn is a Sleeper
}

// begin starts the count. It goes to sum, and against all of the shares; slowed
// is called when that makes the guest wait. quit ends that.
func (m *metered) begin(s *Server, quit <-chan struct{}, sum *cputime.Sum, slowed func(), shares ...*cputime.Share) {
	m.meter, m.sum = cputime.NewMeter(sum, s.threadTime), sum
	m.shares, m.slowed, m.quit = shares, slowed, quit
	m.longest = min(longPause, s.cfg.Times.Write/2) // a pause must not use up the time that the guest has
	var c transport.Sleeper
	if c, m.tells = m.Conn.(transport.Sleeper); m.tells {
		c.OnSleep(m.sleep, m.wake)
	}
	m.wake()
}

func (m *metered) end() {
	m.awake = false
	m.spend(m.meter.End())
}

func (m *metered) wake() {
	if !m.awake {
		m.awake, m.span = true, 0
		m.meter.Begin()
	}
}

// sleep stops the count, and holds up a guest that is over its share.
func (m *metered) sleep(ended <-chan struct{}) {
	m.end()
	if m.tells {
		m.spend(m.sum.Add(min(max(m.span, wakeLeast), wakeMost)))
	}
	m.pause(ended)
}

func (m *metered) spend(d time.Duration) {
	now := time.Now()
	m.span += d
	m.owed = 0
	for _, s := range m.shares {
		m.owed = max(m.owed, s.Use(now, d))
	}
}

// pause must not be called while the meter counts.
func (m *metered) pause(ended <-chan struct{}) {
	if m.owed < shortPause {
		return
	}
	select {
	case <-ended:
		return
	default:
	}
	m.slowed()
	wait := time.NewTimer(min(m.owed, m.longest))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ended:
	case <-m.quit:
	}
}

// Read holds up a guest that never lets it sleep, too.
func (m *metered) Read(p []byte) (int, error) {
	switch {
	case !m.tells:
		m.sleep(nil)
		defer m.wake()
	default:
		if m.spend(m.meter.Lap()); m.owed >= shortPause {
			m.sleep(nil)
			m.wake()
		} else {
			m.meter.Yield()
		}
	}
	return m.Conn.Read(p)
}

func (m *metered) Write(p []byte) (int, error) {
	if !m.tells {
		m.end()
		defer m.wake()
	}
	return m.Conn.Write(p)
}
