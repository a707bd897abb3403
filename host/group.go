package host

import (
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/cputime"
)

// group is what the sessions of one peer group share, such as all processes of
// a user. Guarded by Server.mu, but for the buckets, cpu and logs, which guard
// themselves.
type group struct {
	key       groupKey
	sessions  []*session // that have a place, oldest first
	refusing  int        // sessions over a limit that are being told so
	newcomers *rate.Limiter
	tellings  *rate.Limiter // of what limit a session is over
	seen      time.Time
	bucket    *bucket // of all its guests together, those of an entry left out
	entries   map[entry]*bucket
	cpu       *cputime.Share
	logs      logLimit
}

// entry is a budget of the configuration. The common one has no name.
type entry struct {
	name   string
	budget Budget
}

const (
	// logLines and logEvery bound the lines about one group: so many at once,
	// then one each time.
	logLines = 10
	logEvery = 10 * time.Second

	// tellLines and tellEvery bound in the same way how often a group is told
	// that its session is over a limit. Others are just closed: to hear a hello
	// and to say goodbye costs as much as to serve.
	tellLines = 8
	tellEvery = time.Second
)

// newGroup returns a group that may be given as much as its sessions could be
// one by one, and cost less than they could.
func newGroup(key groupKey, cfg *Config) *group {
	shares := max(1, cfg.Limits.SessionsPerGroup/sessionsPerShare)
	return &group{
		key:       key,
		newcomers: rate.NewLimiter(rate.Limit(cfg.Limits.NewSessionsPerSecond), cfg.Limits.SessionsPerGroup),
		tellings:  rate.NewLimiter(rate.Every(tellEvery), tellLines),
		bucket:    newBucket(cfg.Budget, cfg.Limits.SessionsPerGroup),
		entries:   make(map[entry]*bucket),
		cpu:       cputime.NewShare(float64(shares)*cfg.Limits.CPUShare, time.Duration(shares)*cpuBurst),
		logs:      logLimit{limiter: rate.NewLimiter(rate.Every(logEvery), logLines)},
	}
}

// bucketOf is the group's bucket for an entry of the configuration.
func (g *group) bucketOf(e entry) *bucket {
	b := g.entries[e]
	if b == nil {
		b = newBucket(e.budget, 1)
		g.entries[e] = b
	}
	return b
}

// idle says that nothing of the group is there, and that it owes nothing.
func (g *group) idle(now time.Time) bool {
	if g.busy() || now.Sub(g.seen) < forgetAfter || !g.bucket.full(now) {
		return false
	}
	for _, b := range g.entries {
		if !b.full(now) {
			return false
		}
	}
	return true
}

func (g *group) busy() bool { return len(g.sessions)+g.refusing > 0 }

// groups is the table of all groups. Guarded by Server.mu.
type groups struct {
	all   map[groupKey]*group
	most  int
	ranks map[bool]*ranks // of those that go first, and of the others
}

// groupKey is a group's name, and whether its sessions go before those of
// groups that do not: transport.Peer.First.
type groupKey struct {
	name  string
	first bool
}

func newGroups(most int) *groups {
	return &groups{all: make(map[groupKey]*group), most: most, ranks: map[bool]*ranks{false: {}, true: {}}}
}

// find returns the group of this name, a new one if there is none. At the
// table's bound an eighth of those that have no sessions make room, the longest
// unseen first.
func (t *groups) find(key groupKey, cfg *Config, now time.Time) *group {
	g := t.all[key]
	if g == nil {
		if len(t.all) >= t.most {
			t.evictOldest()
		}
		g = newGroup(key, cfg)
		t.all[key] = g
	}
	g.seen = now
	return g
}

func (t *groups) evictOldest() {
	var idle []*group
	for _, g := range t.all {
		if !g.busy() {
			idle = append(idle, g)
		}
	}
	slices.SortFunc(idle, func(a, b *group) int { return a.seen.Compare(b.seen) })
	for _, g := range idle[:min(len(idle), max(1, len(idle)/8))] {
		delete(t.all, g.key)
	}
}

// forget drops those that are gone and owe nothing.
func (t *groups) forget(now time.Time) {
	for key, g := range t.all {
		if g.idle(now) {
			delete(t.all, key)
		}
	}
}

// add gives a session its place.
func (t *groups) add(ses *session) {
	g := ses.group
	t.ranks[g.key.first].move(g, len(g.sessions), len(g.sessions)+1)
	g.sessions = append(g.sessions, ses)
}

// remove takes the place back, and is false if it was taken back before.
func (t *groups) remove(ses *session) bool {
	g := ses.group
	i := slices.Index(g.sessions, ses)
	if i < 0 {
		return false
	}
	t.ranks[g.key.first].move(g, len(g.sessions), len(g.sessions)-1)
	g.sessions = slices.Delete(g.sessions, i, i+1)
	return true
}

// yielder is the session that has to make room for one of this group when there
// is no place left, nil for none. It is the newest of the group with the most:
// of a group that does not go first, if the newcomer's does; else of one of the
// same kind that has more even afterwards.
func (t *groups) yielder(newcomer *group) *session {
	others := t.ranks[false].top()
	if newcomer.key.first && others > 0 {
		return t.ranks[false].newest()
	}
	same := t.ranks[newcomer.key.first]
	if same.top() > len(newcomer.sessions)+1 {
		return same.newest()
	}
	return nil
}

// ranks orders groups by how many sessions they have: element n-1 has those
// with n of them.
type ranks []map[*group]struct{}

func (r *ranks) move(g *group, from, to int) {
	if from > 0 {
		delete((*r)[from-1], g)
	}
	for len(*r) < to {
		*r = append(*r, make(map[*group]struct{}))
	}
	if to > 0 {
		(*r)[to-1][g] = struct{}{}
	}
	for len(*r) > 0 && len((*r)[len(*r)-1]) == 0 {
		*r = (*r)[:len(*r)-1]
	}
}

// top is how many sessions the group with the most has.
func (r *ranks) top() int { return len(*r) }

// newest is the newest session of a group with the most.
func (r *ranks) newest() *session {
	for g := range (*r)[len(*r)-1] {
		return g.sessions[len(g.sessions)-1]
	}
	return nil
}
