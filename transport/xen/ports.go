package xen

import (
	"fmt"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport"
	vchanxen "github.com/xentropyd/xentropyd/vchan/xen"
)

// ports are the event channels that this process has made to offer on. There is
// no way back for one: see [vchanxen.Port]. One to which no host has come is
// used again, unless the domain is known to have been restored since, or it is
// in doubt; the others stay for as long as the process lives, or longer with a
// keeper. To use one wrongly does no harm but that nobody comes, or that nobody
// hears of it.
type ports struct {
	mu      sync.Mutex
	all     []*guestPort
	doubted int // set aside without the word of xenstore or the kernel, since a host came to one that was used again

	handing sync.Mutex // one handing over at a time
	keep    transport.Keeper
	kept    int // how many the keeper has
	timer   *time.Timer
}

// guestPort is one of them.
type guestPort struct {
	*vchanxen.Port
	host  uint16
	own   uint16 // the domain's number, as it was asked for before the port was made
	aside bool   // not to be used again
	used  int    // how many offers it has had
}

// maxPorts bounds the event channels of a process (our choice). Each takes a
// page of gntalloc's, of which the whole domain has 1,024, and two descriptors.
// So many hosts that have come and gone are a daemon that is killed each
// second.
const maxPorts = 128

// maxDoubted bounds what is set aside for no better reason than that an
// announced host did not come (our choice). It does not come to those that it
// denies either.
const maxDoubted = 8

// take gives a port for an offer to host as domain own.
func (s *ports) take(host, own uint16, sys xendev.System) (*guestPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		switch {
		case p.aside || p.own != own || p.host != host || !p.Usable():
		case p.Check() != nil:
			s.setAside(p)
		default:
			p.used++
			return p, nil
		}
	}
	if len(s.all) >= maxPorts {
		return nil, fmt.Errorf("%d channels to hosts have ended: %w", len(s.all), transport.ErrUsedUp)
	}
	made, err := vchanxen.OpenPort(host, sys)
	if err != nil {
		return nil, err
	}
	p := &guestPort{Port: made, host: host, own: own, used: 1}
	s.all = append(s.all, p)
	return p, nil
}

// restored sets aside whatever was made before the domain became number own.
func (s *ports) restored(own uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		if p.own != own {
			s.setAside(p)
		}
	}
}

// setAside has a port never used again, and the keeper get it in a while. mu is
// held.
func (s *ports) setAside(p *guestPort) {
	if p.aside {
		return
	}
	p.aside = true
	if s.keep != nil && s.timer == nil {
		s.timer = time.AfterFunc(keepAfter, func() { _ = s.handOver() }) // what fails is tried again at the end
	}
}

// came says that the host has come to a port.
func (s *ports) came(p *guestPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.used > 1 {
		s.doubted = 0
	}
}

// doubtful says whether it may be the port's fault that a host does not come.
func (s *ports) doubtful(p *guestPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.used > 1 && s.doubted < maxDoubted
}

// doubt sets a port aside to which a host did not come.
func (s *ports) doubt(p *guestPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.aside {
		s.setAside(p)
		s.doubted++
	}
}
