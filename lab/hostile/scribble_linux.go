package main

import (
	"math/rand/v2"
	"time"
)

// scribbleTime is how long one page is scribbled over while the host is
// connected. Most scribbles end the session at once.
const scribbleTime = 300 * time.Millisecond

// part is a piece of a page.
type part struct{ from, to int }

// scribbleRing writes random words over the shared page, each time over another
// part of it.
func scribbleRing(g *guest) error {
	parts := []part{
		{0, 16},       // indices
		{0, 4096},     // everything
		{20, 24},      // liveness and notify bits
		{16, 24},      // orders, too
		{24, 1024},    // grant list
		{12, 16},      // our own index alone
		{1024, 2048},  // what we say
		{2048, 4096},  // what the host says
		{16, 20},      // orders alone
		{8, 12},       // how far we have read
		{1024, 4096},  // both rings
		{rightAt, 25}, // nothing: an honest moment
	}
	for n := 0; !g.over(); n++ {
		left, right, pages := uint16(11), uint16(10), 1
		if n%3 == 2 {
			left, right, pages = 12, 13, 4 // rings of their own, and so a grant list that counts
		}
		o, err := g.offer(left, right, pages)
		if err != nil {
			return err
		}
		// Before it is there once: what it will find is junk.
		o.scribble(parts[n%len(parts)], !o.taken())
		o.close()
	}
	return nil
}

// scribble writes over a part of the page for a while, or once.
func (c *channel) scribble(p part, once bool) {
	for end := time.Now().Add(scribbleTime); time.Now().Before(end); {
		for i := 0; i < 64 && p.from < p.to; i++ {
			c.word(p.from + 4*rand.IntN((p.to-p.from)/4)).Store(scribble())
			c.g.count("words", 1)
		}
		c.notify()
		if once {
			return
		}
	}
}

// scribble is a number that is nearly right, or not at all.
func scribble() uint32 {
	switch rand.IntN(4) {
	case 0:
		return rand.Uint32()
	case 1:
		return uint32(rand.IntN(4096))
	case 2:
		return -uint32(rand.IntN(64))
	}
	return 1 << rand.IntN(32)
}

// scribbleConsole does the same to a console's page.
func scribbleConsole(g *guest) error {
	parts := []part{
		{0, 4096},
		{inCons, outProd + 4},
		{outProd, outProd + 4},
		{inCons, inCons + 4},
		{inProd, outCons},
		{inAt, inCons},
	}
	return g.fronts(func(n int, f *front, connected bool) {
		if connected && n%2 == 0 {
			f.say(greeting)
		}
		f.scribble(parts[n%len(parts)], false)
		g.until(2*time.Second, func() bool { return f.hostState() != "4" })
	})
}
