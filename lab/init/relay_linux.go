package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

// relays carry messages between the lab's line and the guests' consoles, whose
// other ends are pseudo terminals of xenconsoled.
type relays struct {
	out *agent.Writer
	mu  sync.Mutex
	to  map[string]*relay
}

// queued is how many requests may wait for a guest that does not read, a paused
// one for instance.
const queued = 64

type relay struct {
	tty *os.File
	in  chan agent.Message
}

func newRelays(out *agent.Writer) *relays { return &relays{out: out, to: make(map[string]*relay)} }

// forward passes a message on to a guest. One that is not there is no error:
// the lab asks again.
func (r *relays) forward(m agent.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.to[m.Place]
	if g == nil {
		tty, err := guestConsole(m.Place)
		if err != nil {
			_ = r.out.Write(agent.Message{Op: agent.OpNobody, ID: m.ID, Place: m.Place, Error: err.Error()})
			return
		}
		g = &relay{tty, make(chan agent.Message, queued)}
		r.to[m.Place] = g
		go func() { // ends when the relay is dropped
			out := agent.NewWriter(tty)
			for m := range g.in {
				_ = out.Write(m) // the reading side sees the end
			}
		}()
		go r.back(m.Place, g)
	}
	m.Place = "" // there, it is for the place itself
	select {
	case g.in <- m:
	default: // the lab asks again
	}
}

// back carries a guest's answers until its console ends, with the guest.
func (r *relays) back(place string, g *relay) {
	in := agent.NewReader(g.tty)
	for {
		m, err := in.Read()
		if err != nil {
			break
		}
		m.Place = place
		_ = r.out.Write(m)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.to, place)
	close(g.in)
	g.tty.Close()
}

// guestConsole opens the pseudo terminal of a guest's console.
func guestConsole(place string) (*os.File, error) {
	tty, err := exec.Command("/bin/sh", "-c",
		`xenstore-read "/local/domain/$(xl domid "$0")/console/tty"`, place).Output()
	if err != nil {
		return nil, fmt.Errorf("no guest of this name, or its console is not there yet: %w", err)
	}
	return agent.OpenTTY(strings.TrimSpace(string(tty)))
}
