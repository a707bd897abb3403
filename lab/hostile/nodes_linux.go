package main

import (
	"fmt"
	"strings"
	"time"
)

// junk is what the two references of an offer can be instead.
var junk = []string{
	"", "x", "-1", "0", "00", "1", "2", "8", "9", "511", "512", "65535", "131071", "131072", "4294967295", "4294967296",
	"1099511627776", "18446744073709551616", "1e3", "0x10", " 8", "8 ", "8\n", "\x00\xff\xfe", "\u0663",
	strings.Repeat("9", 2040), strings.Repeat("A", 4000),
}

// children puts as many nodes below one as it may have.
func (g *guest) children(path string) {
	for i := range 1200 {
		if !g.write(fmt.Sprintf("%s/child-%d", path, i), "x") {
			g.count("refused", 1)
			break
		}
	}
}

// junkNodes rewrites the nodes of an offer as fast as it goes, with junk and
// with what belongs to others, and puts as many below as it may have.
func junkNodes(g *guest) error {
	g.children(g.path)
	for n := 0; !g.over(); n++ {
		g.write(g.path+"/ring-ref", one(junk))
		g.write(g.path+"/event-channel", one(junk))
		g.write(g.path+"/state", one(junk))
		g.write(g.path, one(junk))
		switch n % 16 {
		case 7:
			_ = g.store.Rm(g.ctx, g.path)
		case 15:
			_ = g.store.Mkdir(g.ctx, g.path+"/ring-ref/below/this/one")
		}
	}
	return nil
}

// halfOffer has one node of two, for which the host waits, and wakes it up as
// fast as it goes. Now and then it offers for real, so that the host begins to
// trust it again.
func halfOffer(g *guest) error {
	for !g.over() {
		_ = g.store.Rm(g.ctx, g.path)
		for range 4 {
			g.write(g.path+"/ring-ref", "8")
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end) && !g.over(); {
				g.write(g.path+"/"+one([]string{"a", "b", "c"}), "x")
			}
		}
		o, err := g.offer(11, 10, 1)
		if err != nil {
			return err
		}
		o.taken()
		o.close()
	}
	return nil
}

// junkConsole does to the console's nodes what junkNodes does to the vchan's.
func junkConsole(g *guest) error {
	return g.consoles(func(n int, path string) {
		if n == 0 {
			g.children(path)
		}
		for i := 0; i < 200 && !g.over(); i++ {
			g.write(path+"/ring-ref", one(junk))
			g.write(path+"/port", one(junk))
			g.write(path+"/state", one([]string{"3", "4", "1", "5", "6", "7", "0", "9", "", "x", "33"}))
		}
	})
}

// blockUnplug makes the host take its console away, and changes what is being
// removed so fast that the removal meets a conflict each time.
func blockUnplug(g *guest) error {
	return g.consoles(func(_ int, path string) {
		g.write(path+"/ring-ref", "1")
		g.write(path+"/port", "x")
		g.write(path+"/state", "3") // junk: the host unplugs
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && g.write(path+"/z", "x"); {
		}
	})
}

// claim says to be somebody else wherever it can, and writes to others' nodes
// as far as it is let.
func claim(g *guest) error {
	for !g.over() {
		other := uint16(0)
		if len(g.others) > 0 {
			other = one(g.others)
		}
		theirs, ours := fmt.Sprintf("/local/domain/%d", other), fmt.Sprintf("/local/domain/%d", g.own)
		for _, path := range []string{
			theirs + "/data/vchan/0/entropy/ring-ref", theirs + "/data/entropy/instance",
			theirs + "/device/console/1/state", theirs + "/name",
			fmt.Sprintf("/local/domain/0/backend/entropy/%d/1/state", other),
			fmt.Sprintf("/local/domain/0/backend/entropy/%d/1/state", g.own),
			fmt.Sprintf("/local/domain/0/data/vchan/%d/entropy/ring-ref", other),
			ours + "/name", ours + "/vm", ours + "/domid", ours + "/device/console/2/backend",
			ours + "/data/entropy/instance", "/vm/x", "/local/domain/999/vm",
		} {
			if g.write(path, "1") {
				return fmt.Errorf("it was let write to %s", path)
			}
			g.count("refused", 1)
		}
		// A hello that gives another's name.
		o, err := g.offer(11, 10, 1)
		if err != nil {
			return err
		}
		if o.taken() {
			s := newSession(o)
			s.label = one([]string{"honest-1", "honest-2", fmt.Sprintf("domain %d", other), "domain 0"})
			if s.open() {
				s.seed()
				g.count("claims", 1)
			}
		}
		o.close()
		// A page and a port for another domain, offered to the host.
		for _, ends := range [][2]uint16{{other, hostID}, {hostID, other}, {other, other}, {g.own, g.own}} {
			o, err := g.prepare(ends[0], ends[1], 11, 10, 1)
			if err != nil {
				g.count("ungrantable", 1)
				continue
			}
			o.publish()
			o.connected(1200*time.Millisecond, "wrong_connects")
			o.close()
		}
		if path, ok := g.console(); ok {
			g.write(path+"/frontend-id", number(other))
			g.write(path+"/backend-id", number(other))
			g.write(path+"/domid", number(other))
			g.write(path+"/backend", fmt.Sprintf("/local/domain/0/backend/entropy/%d/1", other))
			g.write(path+"/state", "3")
		}
	}
	return nil
}

// restartStorm offers and takes back as fast as it goes.
func restartStorm(g *guest) error {
	for n := 0; !g.over(); n++ {
		o, err := g.offer(11, 10, 1)
		if err != nil {
			g.pause(10 * time.Millisecond) // the driver's limit: the host has not let go of the pages yet
			g.count("held", 1)
			continue
		}
		if n%3 == 1 {
			g.until(20*time.Millisecond, o.here)
		}
		o.connected(0, "connects")
		if n%2 == 0 {
			_ = g.store.Rm(g.ctx, g.path)
		}
		o.close()
	}
	return nil
}

// restartConsole opens and closes its end of the console as fast as it goes.
func restartConsole(g *guest) error {
	f, _, err := g.front()
	if err != nil {
		return err
	}
	defer f.release()
	for n := 0; !g.over(); n++ {
		for _, state := range []string{"6", "3", "4", "3"} {
			if !g.write(f.path+"/state", state) {
				break
			}
		}
		if n%64 == 0 {
			if g.read(f.path+"/backend") == "" {
				g.console()
				g.pause(10 * time.Millisecond)
			}
			f.publish()
		}
	}
	return nil
}
