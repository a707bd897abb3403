package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xentropyd/xentropyd/xenstore"
)

// hostID is the domain of xentropyd.
const hostID = 0

// guest is this domain, with all that its root has.
type guest struct {
	ctx    context.Context // ends with the attack
	store  *xenstore.Client
	own    uint16
	others []uint16
	path   string // where it should offer
	done   map[string]int
}

func newGuest(ctx context.Context) (*guest, error) {
	store, err := xenstore.Open(ctx)
	if err != nil {
		return nil, err
	}
	own, err := store.OwnDomID(ctx)
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	return &guest{
		ctx: ctx, store: store, own: own, done: make(map[string]int),
		path: fmt.Sprintf("/local/domain/%d/data/vchan/%d/entropy", own, hostID),
	}, nil
}

func (g *guest) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = g.store.Rm(ctx, g.path)
	_ = g.store.Close()
}

// over says that the attack's time is.
func (g *guest) over() bool { return g.ctx.Err() != nil }

// pause waits, at most until the end.
func (g *guest) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-g.ctx.Done():
	}
}

// until asks again and again for as long as d.
func (g *guest) until(d time.Duration, ready func() bool) bool {
	for end := time.Now().Add(d); ; {
		switch {
		case ready():
			return true
		case g.over() || time.Now().After(end):
			return false
		}
		time.Sleep(time.Millisecond)
	}
}

// count notes that something was done.
func (g *guest) count(what string, n int) { g.done[what] += n }

// report says all that was counted.
func (g *guest) report() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(g.done)) {
		fmt.Fprintf(&b, " %s=%d", k, g.done[k])
	}
	return b.String()
}

// write sets a node without caring what comes of it, but says whether it was
// let.
func (g *guest) write(path, value string) bool {
	err := g.store.Write(g.ctx, path, value)
	if err == nil {
		g.count("writes", 1)
	}
	return err == nil
}

// read gives a node, "" if there is none that we may read.
func (g *guest) read(path string) string {
	value, _ := g.store.Read(g.ctx, path)
	return value
}

func number[T uint16 | uint32 | int](n T) string { return strconv.FormatInt(int64(n), 10) }

// one chooses.
func one[T any](list []T) T { return list[rand.IntN(len(list))] }
