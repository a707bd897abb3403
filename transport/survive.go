package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/internal/xendev"
)

// survivor is the System of one channel. Once the domain was restored it gives nothing back any more.
//
// Linux forgets on resume which interrupt belongs to which event channel (xen_irq_resume, drivers/xen/events/events_base.c), and its
// evtchn driver cannot unbind a port without one: evtchn_unbind_from_user (drivers/xen/evtchn.c) ends the process with BUG_ON(irq < 0),
// as does closing the file. Unmapping the page would drop a reference to whatever event channel has the port's number by
// then. So the file and the page of a channel that was open at a restore stay until the process ends: one descriptor and one page for
// each restore. At its end the kernel still reports the bug.
type survivor struct {
	xendev.System
	restored atomic.Bool
}

// survive wraps a System, nil for this machine's.
func survive(sys xendev.System) (*survivor, error) {
	if sys == nil {
		var err error
		if sys, err = xendev.Machine(); err != nil {
			return nil, err
		}
	}
	return &survivor{System: sys}, nil
}

// kept are what must not be closed, also not by the garbage collector.
var kept struct {
	mu    sync.Mutex
	files []xendev.File
	pages [][]byte
}

func (s *survivor) OpenPolled(path string) (xendev.File, error) {
	f, err := s.System.OpenPolled(path)
	if err != nil {
		return nil, err
	}
	return &survivingFile{f, s}, nil
}

// Ioctl does nothing after a restore: the driver would look for ports that are none.
func (s *survivor) Ioctl(fd int, request uint32, arg []byte) (int, error) {
	if s.restored.Load() {
		return 0, nil
	}
	return s.System.Ioctl(fd, request, arg)
}

func (s *survivor) Munmap(b []byte) error {
	if !s.restored.Load() {
		return s.System.Munmap(b)
	}
	kept.mu.Lock()
	defer kept.mu.Unlock()
	kept.pages = append(kept.pages, b)
	return nil
}

type survivingFile struct {
	xendev.File
	s *survivor
}

// Close makes a read under way return, as a real close does.
func (f *survivingFile) Close() error {
	if !f.s.restored.Load() {
		return f.File.Close()
	}
	kept.mu.Lock()
	kept.files = append(kept.files, f.File)
	kept.mu.Unlock()
	return f.SetReadDeadline(time.Unix(1, 0))
}
