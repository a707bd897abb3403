package xendevtest

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/xendev"
)

// Process is the xendev.System of one process of a domain.
type Process struct {
	domain *Domain
	dead   bool
	files  map[int]*file
	maps   []*mapping
	queues []*queue

	// Fault, if set before the first call, is asked before each one: an error
	// is what it gives instead.
	Fault func(call string) error
	// Missing names devices that are not there.
	Missing []string
}

var _ xendev.System = (*Process)(nil)

// file is an open gntdev or gntalloc.
type file struct {
	path  string
	refs  int // descriptor, mappings
	next  uint64
	areas map[uint64]*area
}

// area is what one ioctl made: a run of pages at an offset of the file.
type area struct {
	index  uint64
	domid  uint16
	refs   []uint32 // gntdev
	grants []*grant // gntalloc
	users  int      // gntdev's map: the file, the mapping
	notify notification
}

// mapping is a vma.
type mapping struct {
	file    *file
	area    *area
	data    []byte
	grants  []*grant
	foreign bool
}

// Process starts one.
func (d *Domain) Process() *Process {
	d.xen.mu.Lock()
	defer d.xen.mu.Unlock()
	p := &Process{domain: d, files: make(map[int]*file)}
	d.processes = append(d.processes, p)
	return p
}

// Kill ends the process as SIGKILL does: first its memory goes, then its files.
// What the test still has of it in hand gets errors from now on.
func (p *Process) Kill() {
	x := p.domain.xen
	x.mu.Lock()
	defer x.mu.Unlock()
	p.domain.ending = true
	for len(p.maps) > 0 {
		p.unmapped(p.maps[0])
	}
	for _, f := range p.files {
		p.put(f)
	}
	for _, q := range p.queues {
		q.closeAll(p.domain)
	}
	p.domain.ending = false
	p.vanish()
}

// End is Kill, and takes back the descriptors that the test's own process has
// in the place of the killed one's.
func (p *Process) End() {
	p.Kill()
	x := p.domain.xen
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, q := range p.queues {
		_ = q.File.Close()
	}
	p.queues = nil
}

// vanish leaves nothing, and tells nobody.
func (p *Process) vanish() {
	p.dead = true
	for _, m := range p.maps {
		for _, g := range m.grants {
			if m.foreign {
				g.mapped--
			}
		}
	}
	p.maps = nil
	for fd := range p.files {
		_ = unix.Close(fd)
		delete(p.files, fd)
	}
	for _, q := range p.queues {
		q.ports, q.ring = nil, nil
	}
}

// begin is at the start of every call, and leaves the host locked.
func (p *Process) begin(call string) error {
	if p.Fault != nil {
		if err := p.Fault(call); err != nil {
			p.domain.xen.mu.Lock()
			return err
		}
	}
	p.domain.xen.mu.Lock()
	if p.dead || p.domain.dead {
		return syscall.EBADF
	}
	return nil
}

func (p *Process) missing(path string) error {
	for _, m := range p.Missing {
		if m == path {
			return syscall.ENOENT
		}
	}
	return nil
}

// Open implements xendev.System. The descriptor is a real one, so that leaks
// show.
func (p *Process) Open(path string) (int, error) {
	err := p.begin("open " + path)
	defer p.domain.xen.mu.Unlock()
	if err == nil {
		err = p.missing(path)
	}
	if err != nil {
		return -1, err
	}
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		p.files[fd] = &file{path: path, refs: 1, areas: make(map[uint64]*area)}
	}
	return fd, err
}

// Close implements xendev.System.
func (p *Process) Close(fd int) error {
	err := p.begin("close")
	defer p.domain.xen.mu.Unlock()
	f := p.files[fd]
	if f == nil {
		return syscall.EBADF
	}
	delete(p.files, fd)
	_ = unix.Close(fd)
	p.put(f)
	return err
}

// put is one user less of an open file; the last one gives back what it held.
func (p *Process) put(f *file) {
	if f.refs--; f.refs > 0 {
		return
	}
	for _, a := range f.areas {
		p.release(f, a)
	}
}

// release is the file's share in an area.
func (p *Process) release(f *file, a *area) {
	delete(f.areas, a.index)
	for _, g := range a.grants {
		p.domain.drop(g)
	}
	if a.grants == nil {
		p.dropArea(a)
	}
}

// dropArea is gntdev_put_map: the event goes when nobody is left.
func (p *Process) dropArea(a *area) {
	if a.users--; a.users == 0 {
		p.domain.notify(&a.notify)
	}
}

// Mmap implements xendev.System.
func (p *Process) Mmap(fd int, offset int64, length int) ([]byte, error) {
	err := p.begin("mmap")
	defer p.domain.xen.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f := p.files[fd]
	if f == nil {
		return nil, syscall.EBADF
	}
	a := f.areas[uint64(offset)]
	if a == nil || length != pageSize*max(len(a.grants), len(a.refs)) {
		return nil, syscall.ENOENT
	}
	m := &mapping{file: f, area: a, grants: a.grants, foreign: a.grants == nil}
	for _, ref := range a.refs {
		g, err := p.domain.xen.grantOf(a.domid, ref, p.domain.id)
		if err != nil {
			return nil, err
		}
		m.grants = append(m.grants, g)
	}
	if m.data, err = p.domain.xen.mapPages(m.grants); err != nil {
		return nil, err
	}
	f.refs++
	for _, g := range m.grants {
		if m.foreign {
			g.mapped++
		} else {
			g.users++
		}
	}
	a.users++
	p.maps = append(p.maps, m)
	return m.data, nil
}

// mapPages puts pages behind each other.
func (x *Xen) mapPages(list []*grant) ([]byte, error) {
	const prot = unix.PROT_READ | unix.PROT_WRITE
	size := uintptr(len(list) * pageSize)
	base, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	for i, g := range list {
		at := unsafe.Add(base, i*pageSize)
		if _, err := unix.MmapPtr(x.memory, g.at, at, pageSize, prot, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
			_ = unix.MunmapPtr(base, size)
			return nil, err
		}
	}
	return unsafe.Slice((*byte)(base), size), nil
}

// Munmap implements xendev.System.
func (p *Process) Munmap(b []byte) error {
	err := p.begin("munmap")
	defer p.domain.xen.mu.Unlock()
	if err != nil && err != syscall.EBADF {
		return err
	}
	for _, m := range p.maps {
		if unsafe.SliceData(m.data) == unsafe.SliceData(b) {
			p.unmapped(m)
			break
		}
	}
	// For a process that is dead to its kernel this is the test's own memory.
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}

// unmapped is what the kernel does for a vma that goes.
func (p *Process) unmapped(m *mapping) {
	for i, k := range p.maps {
		if k == m {
			p.maps = append(p.maps[:i:i], p.maps[i+1:]...)
			break
		}
	}
	if m.foreign {
		if n := &m.area.notify; n.clear { // gntdev clears at once and sends at the end
			n.clear = false
			_, _ = unix.Pwrite(p.domain.xen.memory, []byte{0}, n.byte)
		}
		for _, g := range m.grants {
			g.mapped--
		}
		p.dropArea(m.area)
	} else {
		for _, g := range m.grants {
			p.domain.drop(g)
		}
	}
	p.put(m.file)
}

// Read implements xendev.System.
func (p *Process) Read(fd int, b []byte) (int, error) {
	err := p.begin("read")
	defer p.domain.xen.mu.Unlock()
	if err != nil {
		return 0, waiting(err)
	}
	q := p.queueOf(fd)
	if q == nil {
		return 0, syscall.EBADF
	}
	return q.read(b)
}

// waiting: a dead process does not come out of its read.
func waiting(err error) error {
	if err == syscall.EBADF {
		return syscall.EAGAIN
	}
	return err
}

// Write implements xendev.System.
func (p *Process) Write(fd int, b []byte) (int, error) {
	err := p.begin("write")
	defer p.domain.xen.mu.Unlock()
	if err != nil {
		return 0, err
	}
	q := p.queueOf(fd)
	if q == nil {
		return 0, syscall.EBADF
	}
	return q.unmask(b)
}
