package lend

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Seals are those that a page has from the start.
	Seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

	// MappedSeals are those that whoever it was lent to adds once it has mapped
	// the page: from then on nobody can make a hole in it. A hole in a page
	// that is mapped a hundred thousand times takes a second, in which whoever
	// touches or unmaps the page waits in the kernel. They need Linux 5.1 (see
	// CanSeal).
	MappedSeals = unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SEAL
)

// sweepEvery is how often the pages are looked at that others still have of what
// we have done with.
const sweepEvery = 10 * time.Second

// Lender lends pages. Its methods may be called from any goroutine.
type Lender struct {
	most int

	mu       sync.Mutex
	count    map[uint32]int     // lent, by user
	left     map[uint32][]*Loan // those of them that we have done with, by user
	due      map[uint32]bool    // users whose pages are to be looked at
	sweeping bool               // there is a sweeper
	swept    sync.Cond          // there is none any more
	timer    *time.Timer        // of the next sweep, nil for none
	closed   bool
}

// Loan is a page that was lent.
type Loan struct {
	Host  int // of our own; Done closes it
	Guest int // to give away; the caller closes it

	lender *Lender
	user   uint32
	unmap  func() // what is left to be done; nil for nothing
	back   bool   // under the lender's mu: nobody has it, and it is closed
}

// New makes a Lender that lends no user more than most pages at a time. It needs
// /proc, and leases on files (fcntl(2), F_SETLEASE), with which it is found out
// whether anybody has a page.
func New(most int) (*Lender, error) {
	l := &Lender{most: most, count: make(map[uint32]int), left: make(map[uint32][]*Loan), due: make(map[uint32]bool)}
	l.swept.L = &l.mu
	if err := try(); err != nil {
		return nil, fmt.Errorf("find out who has memory of ours: %w", err)
	}
	return l, nil
}

// try finds out whether this kernel tells who has a page.
func try() error {
	n, err := makeLoan()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(n.Host) }()
	with := n.over()
	mapped, err := unix.Mmap(n.Guest, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	_ = unix.Close(n.Guest)
	if err != nil {
		return err
	}
	still := n.over()
	_ = unix.Munmap(mapped)
	if with || still || !n.over() {
		return errors.New("leases on memory do not tell")
	}
	return nil
}

// Close ends the looking: pages that others have still are forgotten, and so
// are those with which we are done later.
func (l *Lender) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.forget()
}

// forget is for pages that nobody will look at again; a sweeper does it at its
// end. The caller holds mu.
func (l *Lender) forget() {
	if l.sweeping {
		return
	}
	for _, list := range l.left {
		for _, n := range list {
			_ = unix.Close(n.Host)
		}
	}
	clear(l.left)
}

// Held is how many pages of ours a user was lent that we have not done with, or
// that somebody has still. It looks, and waits for the answer.
func (l *Lender) Held(user uint32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look(user)
	for l.sweeping {
		l.swept.Wait()
	}
	return l.count[user]
}

// Page makes a page, which is the user's until Done is called and nobody has
// what is given away of it: neither the descriptor, nor a copy of it, nor a
// mapping. It is 4,096 bytes long and cannot be made longer or shorter. Whether
// pages have come back is found out beside: Page does not wait for that.
func (l *Lender) Page(user uint32) (*Loan, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look(user)
	if l.count[user] >= l.most {
		return nil, fmt.Errorf("%w: %d", ErrTooMany, l.count[user])
	}
	n, err := makeLoan()
	if err != nil {
		return nil, fmt.Errorf("make a page of memory: %w", err)
	}
	n.lender, n.user = l, user
	l.count[user]++
	return n, nil
}

func makeLoan() (n *Loan, err error) {
	n = new(Loan)
	if n.Host, err = Memory(); err != nil {
		return nil, err
	}
	// A second opening, which counts as a writer to the page, which what
	// memfd_create has opened does not.
	n.Guest, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", n.Host), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Fchmod(n.Guest, 0) // nobody opens it a third time
	}
	if err != nil {
		_ = unix.Close(n.Host)
		return nil, err
	}
	return n, nil
}

// over says whether nobody has what was given away: only then is a lease for
// reading to be had.
func (n *Loan) over() bool {
	if _, err := unix.FcntlInt(uintptr(n.Host), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return false
	}
	_, _ = unix.FcntlInt(uintptr(n.Host), unix.F_SETLEASE, unix.F_UNLCK)
	return true
}

// Done is called once, when we have no use for the page any more. unmap undoes our
// own mapping; where the page was not sealed, that is done when nobody else has
// the page: somebody who makes a hole in it would hold up the unmapping, and with
// that all of the process's memory.
func (n *Loan) Done(sealed bool, unmap func()) {
	if sealed {
		unmap()
	} else {
		n.unmap = unmap
	}
	l := n.lender
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left[n.user] = append(l.left[n.user], n)
	if l.closed {
		l.forget()
		return
	}
	l.look(n.user)
}

// look has a user's pages looked at. The caller holds mu.
func (l *Lender) look(user uint32) {
	if l.closed || len(l.left[user]) == 0 {
		return
	}
	l.due[user] = true
	if !l.sweeping {
		l.sweeping = true
		go l.sweep()
	}
}

// sweep takes back what nobody has any more. It is the only one that asks for
// leases, and holds no lock meanwhile: the kernel has one lock for them all,
// which whoever reads /proc/locks can hold for long.
func (l *Lender) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.due) > 0 && !l.closed {
		users := slices.Collect(maps.Keys(l.due))
		clear(l.due)
		var list []*Loan
		for _, user := range users {
			list = append(list, l.left[user]...)
		}
		l.mu.Unlock()
		list = slices.DeleteFunc(list, func(n *Loan) bool { return !n.over() })
		for _, n := range list {
			if n.unmap != nil {
				n.unmap()
			}
			_ = unix.Close(n.Host)
		}
		l.mu.Lock()
		for _, n := range list {
			n.back = true
		}
		for _, user := range users {
			l.drop(user)
		}
	}
	l.sweeping = false
	l.swept.Broadcast()
	if l.closed {
		l.forget()
	}
	l.arm()
}

// drop takes a user's pages that have come back off the books. The caller holds
// mu.
func (l *Lender) drop(user uint32) {
	before := len(l.left[user])
	left := slices.DeleteFunc(l.left[user], func(n *Loan) bool { return n.back })
	l.count[user] -= before - len(left)
	if l.left[user] = left; len(left) == 0 {
		delete(l.left, user)
	}
	if l.count[user] == 0 {
		delete(l.count, user)
	}
}

// arm sets the time of the next sweep, if there is anything to be swept. The caller holds mu.
func (l *Lender) arm() {
	if l.closed || l.timer != nil || len(l.left) == 0 {
		return
	}
	l.timer = time.AfterFunc(sweepEvery, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.timer = nil
		for user := range l.left {
			l.look(user)
		}
	})
}

// Memory makes a page that is not counted; the caller closes it.
func Memory() (fd int, err error) {
	// MFD_NOEXEC_SEAL is only known since Linux 6.3.
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err = unix.MemfdCreate("vchan", flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("vchan", flags)
	}
	if err != nil {
		return -1, err
	}
	if err = unix.Ftruncate(fd, pageSize); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, Seals)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// CanSeal says whether the kernel knows MappedSeals.
func CanSeal() bool {
	fd, err := Memory()
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, MappedSeals)
	return err == nil
}
