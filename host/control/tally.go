package control

import (
	"iter"

	"github.com/xentropyd/xentropyd/host"
)

// otherGuests is the label under which guests without a series are summed up.
// No guest's ID is like that: IDs have a colon.
const otherGuests = "other"

// tally keeps the number of series bounded and the sum over them growing,
// although guests come and go by the thousand.
type tally struct {
	most  int
	last  map[string]counts // of every guest at the last look
	own   map[string]counts // of guests with a series
	other counts            // of all others, and of those that are gone
}

func newTally(most int) *tally {
	return &tally{most: most, last: make(map[string]counts), own: make(map[string]counts)}
}

// update takes in how the guests stand and returns the series. A guest keeps
// its series until the server forgets it.
func (t *tally) update(guests []host.GuestStatus) iter.Seq2[string, counts] {
	present := make(map[string]counts, len(guests))
	for _, g := range guests {
		present[g.ID] = countsOf(g)
	}
	for id, n := range t.own {
		if _, ok := present[id]; !ok {
			t.other = t.other.plus(n)
			delete(t.own, id)
		}
	}
	for _, g := range guests {
		added := present[g.ID].since(t.last[g.ID])
		n, has := t.own[g.ID]
		switch _, seen := t.last[g.ID]; {
		case has, !seen && len(t.own) < t.most:
			t.own[g.ID] = n.plus(added)
		default:
			t.other = t.other.plus(added)
		}
	}
	t.last = present
	return func(yield func(string, counts) bool) {
		for id, n := range t.own {
			if !yield(id, n) {
				return
			}
		}
		yield(otherGuests, t.other)
	}
}
