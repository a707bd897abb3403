package guest

import (
	"context"
	"log/slog"
	"time"
)

// A host that comes and goes all the time is said to do so in presenceLines
// lines each presenceSpan at most (our choice); the rest is for who looks at
// the debug level.
const (
	presenceLines = 4
	presenceSpan  = time.Minute
)

// presence is what the log was last told of the host. It is for the goroutine
// that follows.
type presence struct {
	known, here bool
	lines       int
	said        [presenceLines]time.Time // of the last lines
}

// news says whether the log should be told that the host is here, or away: when
// that is not what it was last told, as often as may be.
func (p *presence) news(here bool) bool {
	oldest := &p.said[p.lines%presenceLines]
	if p.known && p.here == here || p.lines >= presenceLines && time.Since(*oldest) < presenceSpan {
		return false
	}
	*oldest = time.Now()
	p.lines++
	p.known, p.here = true, here
	return true
}

// hostIsHere is called at each welcome and seed, so that what a line was not
// spent on is said at last.
func (g *Guest) hostIsHere(attrs ...any) {
	if g.presence.news(true) {
		g.opts.Log.Info("connected to host", attrs...)
	}
}

// hostIsAway is called when a session ended or could not begin.
func (g *Guest) hostIsAway(err error, retry time.Duration) {
	level, text := slog.LevelDebug, "host is still away"
	if g.presence.news(false) {
		level, text = slog.LevelWarn, "host is away; what is tried until it is back is logged at the debug level"
	}
	g.opts.Log.Log(context.Background(), level, text, "reason", err, "retry_in", retry.Round(time.Millisecond))
}
