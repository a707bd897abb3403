package main

import "time"

// flood sends events that say nothing, as fast as it can, also while nobody is
// connected.
func flood(g *guest) error {
	return floodWith(g, func(*offer, uint32) {})
}

// floodMoving sends events as fast as it can, and each finds something changed:
// how far we have read goes to and fro between two values that are both
// allowed, so that no rule of the ring is broken, no byte moves, and no frame
// ever ends.
func floodMoving(g *guest) error {
	return floodWith(g, func(o *offer, n uint32) {
		o.word(leftCons).Store(o.in - n%2)
	})
}

func floodWith(g *guest, move func(*offer, uint32)) error {
	return g.offers(func(_ int, o *offer) {
		for range 1000 {
			o.notify()
		}
		if !o.taken() || !newSession(o).open() {
			return
		}
		for n := uint32(0); !g.over() && !o.gone(); n++ {
			for range 50 {
				move(o, n)
				o.notify()
				n++
			}
			o.in = o.word(leftProd).Load() // all is read, so that no write of the host's ends it
		}
	})
}

// floodConsole does on a console what floodMoving does on a vchan.
func floodConsole(g *guest) error {
	return g.fronts(func(_ int, f *front, connected bool) {
		if !connected {
			return
		}
		f.say(greeting)
		g.until(3*time.Second, func() bool { return f.word(inProd).Load() > 61 })
		for n := uint32(0); !g.over() && f.word(inProd).Load() > 0; n++ {
			f.word(inCons).Store(f.word(inProd).Load() - n%2)
			f.notify()
			if n%4096 == 0 && f.hostState() != "4" {
				break
			}
		}
	})
}
