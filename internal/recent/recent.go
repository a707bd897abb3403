// Package recent keeps something for each of many names, such as a rate limit
// for each user, in a table with a bound: whoever comes under ever new names
// pushes out the names that were not used for the longest time.
package recent

import (
	"slices"
	"sync"
)

// Table is such a table. Its methods are safe for concurrent use.
type Table[K comparable, V any] struct {
	most int
	make func() V

	mu    sync.Mutex
	uses  uint64
	found map[K]*entry[V]
}

type entry[V any] struct {
	value V
	used  uint64
}

// New returns a table for so many names, at least one. make makes what a new
// name has.
func New[K comparable, V any](most int, make func() V) *Table[K, V] {
	return &Table[K, V]{most: max(1, most), make: make, found: map[K]*entry[V]{}}
}

// Get is what a name has. At the bound an eighth of the others makes room for a
// new one.
func (t *Table[K, V]) Get(name K) V {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.uses++
	e := t.found[name]
	if e == nil {
		if len(t.found) >= t.most {
			t.evict()
		}
		e = &entry[V]{value: t.make()}
		t.found[name] = e
	}
	e.used = t.uses
	return e.value
}

func (t *Table[K, V]) evict() {
	ages := make([]uint64, 0, len(t.found))
	for _, e := range t.found {
		ages = append(ages, e.used)
	}
	slices.Sort(ages)
	last := ages[len(ages)/8]
	for name, e := range t.found {
		if e.used <= last {
			delete(t.found, name)
		}
	}
}

// Len is how many names there are.
func (t *Table[K, V]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.found)
}
