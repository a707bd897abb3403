package main

import (
	"errors"
	"os"
	"time"

	"github.com/xentropyd/xentropyd/transport/console"
)

// Layout of a console's page, xen/io/console.h: what the host writes, what we
// write, and the four indices.
const (
	inAt, inSize   = 0, 1024
	outAt, outSize = 1024, 2048
	inCons         = 3072
	inProd         = 3076
	outCons        = 3080
	outProd        = 3084
)

// greeting is protocol 1's first line.
const greeting = "Hello, may I have some entropy?\r\n"

// front is our end of a console, taken from the kernel's driver.
type front struct {
	channel
	path string
}

// console finds where xentropyd's console is now, and takes it from the
// kernel's driver, which gets none that are plugged from now on.
func (g *guest) console() (path string, ok bool) {
	_ = os.WriteFile("/sys/bus/xen/drivers_autoprobe", []byte("0"), 0)
	list, err := g.store.Directory(g.ctx, "device/console")
	if err != nil {
		return "", false
	}
	for _, n := range list {
		path = "device/console/" + n
		if g.read(path+"/name") != console.Name || g.read(path+"/backend") == "" {
			continue
		}
		_ = os.WriteFile("/sys/bus/xen/drivers/xenconsole/unbind", []byte("console-"+n), 0)
		return path, true
	}
	return "", false
}

// consoles finds the console again and again, each time for a turn of an
// attack, until the time is over.
func (g *guest) consoles(turn func(n int, path string)) error {
	for n := 0; !g.over(); n++ {
		path, ok := g.console()
		if !ok {
			g.pause(20 * time.Millisecond)
			continue
		}
		g.count("consoles", 1)
		turn(n, path)
	}
	return nil
}

// fronts takes the console up again and again, each time for a turn of an
// attack. That the host stays away later is the host's right.
func (g *guest) fronts(turn func(n int, f *front, connected bool)) error {
	for n := 0; !g.over(); n++ {
		f, connected, err := g.front()
		if err != nil && g.done["offers"] > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		turn(n, f, connected)
		f.release()
	}
	return nil
}

// front takes a console up, as a driver does, and waits until the host has
// connected. It is no error if that does not come.
func (g *guest) front() (f *front, connected bool, err error) {
	f = new(front)
	if !g.until(20*time.Second, func() (ok bool) {
		f.path, ok = g.console()
		return ok
	}) {
		return nil, false, errors.New("there is no console of xentropyd's")
	}
	if f.channel, err = g.channel(hostID, hostID, 1); err != nil {
		return nil, false, err
	}
	f.publish()
	g.write(f.path+"/state", "3")
	g.count("offers", 1)
	connected = g.until(5*time.Second, func() bool { return f.hostState() == "4" })
	if connected {
		g.count("connects", 1)
		g.write(f.path+"/state", "4")
	}
	return f, connected, nil
}

func (f *front) publish() {
	f.g.write(f.path+"/ring-ref", number(f.refs[0]))
	f.g.write(f.path+"/port", number(f.port))
}

// hostState is the state of the host's end.
func (f *front) hostState() string { return f.g.read(f.g.read(f.path+"/backend") + "/state") }

// say writes a line, with one event.
func (f *front) say(text string) {
	at := f.word(outProd).Load()
	for i := range len(text) {
		f.page[outAt+int((at+uint32(i))%outSize)] = text[i]
	}
	f.word(outProd).Store(at + uint32(len(text)))
	f.notify()
}
