package main

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport/console"
)

// Layout of a console's page, xen/io/console.h: what the host writes, what we write, and the four indices.
const (
	inAt, inSize   = 0, 1024
	outAt, outSize = 1024, 2048
	inCons         = 3072
	inProd         = 3076
	outCons        = 3080
	outProd        = 3084
)

// front is our end of a console, taken from the kernel's driver.
type front struct {
	g    *guest
	path string
	page []byte
	ref  uint32
	port uint32
	mem  *xendev.Mapping
	ev   *xendev.Evtchn
}

// seize keeps the kernel's driver from the consoles that are plugged from now on.
func (g *guest) seize() { _ = os.WriteFile("/sys/bus/xen/drivers_autoprobe", []byte("0"), 0) }

// console finds where xentropyd's console is now, and takes it from the driver.
func (g *guest) console() (path string, ok bool) {
	g.seize()
	list, err := g.store.Directory(g.ctx, "device/console")
	if err != nil {
		return "", false
	}
	for _, n := range list {
		path = "device/console/" + n
		if name, err := g.store.Read(g.ctx, path+"/name"); err != nil || name != console.Name {
			continue
		}
		if back, err := g.store.Read(g.ctx, path+"/backend"); err != nil || back == "" {
			continue
		}
		_ = os.WriteFile("/sys/bus/xen/drivers/xenconsole/unbind", []byte("console-"+n), 0)
		return path, true
	}
	return "", false
}

// front takes a console up, as a driver does, and waits until the host has connected. It is no error if that does not come.
func (g *guest) front() (f *front, connected bool, err error) {
	var path string
	if !g.until(20*time.Second, func() bool {
		p, ok := g.console()
		path = p
		return ok
	}) {
		return nil, false, errors.New("there is no console of xentropyd's")
	}
	f = &front{g: g, path: path}
	var refs []uint32
	if f.mem, refs, err = g.grant(hostID, 1); err != nil {
		return nil, false, err
	}
	f.page, f.ref = f.mem.Bytes(), refs[0]
	if f.ev, err = xendev.OpenEvtchn(nil); err != nil {
		_ = f.mem.Unmap()
		return nil, false, err
	}
	if f.port, err = f.ev.BindUnbound(hostID); err != nil {
		f.close()
		return nil, false, err
	}
	f.publish("3")
	connected = g.until(5*time.Second, func() bool { return f.hostState() == "4" })
	if connected {
		g.count("connects", 1)
		g.write(f.path+"/state", "4")
	}
	return f, connected, nil
}

func (f *front) publish(state string) {
	f.g.write(f.path+"/ring-ref", number(f.ref))
	f.g.write(f.path+"/port", number(f.port))
	f.g.write(f.path+"/state", state)
	f.g.count("offers", 1)
}

// hostState is the state of the host's end.
func (f *front) hostState() string {
	back, err := f.g.store.Read(f.g.ctx, f.path+"/backend")
	if err != nil {
		return ""
	}
	state, _ := f.g.store.Read(f.g.ctx, back+"/state")
	return state
}

func (f *front) word(at int) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&f.page[at])) }

func (f *front) notify() {
	if f.ev.Notify(f.port) == nil {
		f.g.count("events", 1)
	}
}

// say writes a line, with one event.
func (f *front) say(text string) {
	at := f.word(outProd).Load()
	for i := range len(text) {
		f.page[outAt+int((at+uint32(i))%outSize)] = text[i]
	}
	f.word(outProd).Store(at + uint32(len(text)))
	f.notify()
}

func (f *front) close() {
	_ = f.ev.Close()
	_ = f.mem.Unmap()
}
