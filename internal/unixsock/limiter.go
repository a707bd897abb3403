package unixsock

import (
	"sync"
	"time"
)

// Our own bounds: on the users that a Limiter knows, on what it takes for a
// flood (so many connections beyond what a user may make), and on how often
// somebody is told of one user.
const (
	maxUsers   = 4096
	floodAfter = 100
	tellEvery  = time.Second
)

// Limiter says how often each user may connect. Its clock is its caller's. Its
// methods may be called from any goroutine.
type Limiter struct {
	rate, burst float64

	mu     sync.Mutex
	users  map[uint32]*visitor
	rest   *visitor // of those for whom there is no room
	pruned time.Time
}

// visitor is a token bucket that can be overdrawn by floodAfter.
type visitor struct {
	tokens float64
	at     time.Time // when that was so
	told   time.Time // when somebody last heard of this user
	floods time.Time // until then
	banned time.Time // until then
}

// NewLimiter lets each user come rate times a second, and burst times at once.
func NewLimiter(rate float64, burst int) *Limiter {
	return &Limiter{rate: rate, burst: float64(burst), users: make(map[uint32]*visitor)}
}

// Visit counts a connection. From when it is a flood, each further one that is
// too much is said to be one for KeepOutTime: the user may come under another
// number each time.
func (p *Limiter) Visit(uid uint32, now time.Time) (ok, flood bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.visitor(uid, now)
	v.refill(p, now)
	if now.Before(v.banned) {
		return false, true
	}
	v.tokens--
	switch {
	case v.tokens >= 0:
		return true, false
	case v.tokens <= -floodAfter:
		v.tokens = 0
		v.floods = now.Add(KeepOutTime)
	}
	return false, now.Before(v.floods)
}

// Ban takes all that a user does for a flood, for KeepOutTime.
func (p *Limiter) Ban(uid uint32, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.visitor(uid, now).banned = now.Add(KeepOutTime)
}

func (v *visitor) refill(p *Limiter, now time.Time) {
	v.tokens = min(p.burst, v.tokens+p.rate*max(0, now.Sub(v.at).Seconds()))
	v.at = now
}

// MayTell says whether to tell of a user now.
func (p *Limiter) MayTell(uid uint32, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.visitor(uid, now)
	if !v.told.IsZero() && now.Sub(v.told) < tellEvery {
		return false
	}
	v.told = now
	return true
}

func (p *Limiter) visitor(uid uint32, now time.Time) *visitor {
	if v := p.users[uid]; v != nil {
		return v
	}
	if len(p.users) >= maxUsers && !p.prune(now) {
		if p.rest == nil {
			p.rest = &visitor{tokens: p.burst, at: now}
		}
		return p.rest
	}
	v := &visitor{tokens: p.burst, at: now}
	p.users[uid] = v
	return v
}

// prune forgets who is as good as new, once a second at most, and says whether
// there is room now.
func (p *Limiter) prune(now time.Time) bool {
	if !p.pruned.IsZero() && now.Sub(p.pruned) < time.Second {
		return false
	}
	p.pruned = now
	for uid, v := range p.users {
		if v.refill(p, now); v.tokens >= p.burst && !now.Before(v.banned) {
			delete(p.users, uid)
		}
	}
	return len(p.users) < maxUsers
}
