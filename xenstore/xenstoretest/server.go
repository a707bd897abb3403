package xenstoretest

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/xentropyd/xentropyd/xenstore"
)

// Server is a xenstored in memory. All methods may be called from any
// goroutine.
type Server struct {
	opt options
	wg  sync.WaitGroup

	mu        sync.Mutex
	base      *view
	lastGen   uint64
	domains   map[uint16]bool
	conns     []*conn // in the order of connecting, which is that of events
	listeners []net.Listener
	fault     func(Request) Fault
	closed    bool
	stop      chan struct{}
}

// Option changes what NewServer makes.
type Option func(*options)

type options struct {
	spurious bool
	noParts  bool
}

// WithSpuriousEvents makes each watch fire once more than it has to, for every
// event.
func WithSpuriousEvents() Option { return func(o *options) { o.spurious = true } }

// WithoutParts makes the server behave like oxenstored 4.17, which knows no
// DIRECTORY_PART and answers DIRECTORY in one piece, over a socket even one
// that is over the protocol's limit.
func WithoutParts() Option { return func(o *options) { o.noParts = true } }

// NewServer makes a server that holds what a dom0 has after boot:
// /tool/xenstored and /local/domain/0 with name and domid.
func NewServer(opts ...Option) *Server {
	s := &Server{domains: map[uint16]bool{private: true}, stop: make(chan struct{})}
	for _, f := range opts {
		f(&s.opt)
	}
	s.base = &view{owned: make(map[uint16]int), next: func() uint64 { s.lastGen++; return s.lastGen }}
	s.base.root = &node{gen: s.base.next(), perms: []xenstore.Perm{{DomID: private, Access: xenstore.AccessNone}}}
	s.Write("/tool/xenstored", "")
	s.Write("/local/domain/0/name", "Domain-0")
	s.Write("/local/domain/0/domid", "0")
	return s
}

// Close ends all connections and listeners and waits until the server's
// goroutines have ended.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	conns, listeners := s.conns, s.listeners
	s.listeners = nil
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for _, c := range conns {
		c.drop()
	}
	s.wg.Wait()
	return nil
}

// Dialer makes connections to the server as a domain, over a pipe in memory.
// Domain 0 is privileged.
func (s *Server) Dialer(domid uint16) xenstore.DialFunc {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ours, theirs := net.Pipe()
		if err := s.serve(ours, domid, nil); err != nil {
			_ = theirs.Close()
			return nil, err
		}
		return theirs, nil
	}
}

// ListenUnix serves connections to a Unix socket as a domain, for other
// processes. Close removes the socket.
func (s *Server) ListenUnix(path string, domid uint16) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen as xenstored: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = l.Close()
		return net.ErrClosed
	}
	s.listeners = append(s.listeners, l)
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if s.serve(c, domid, nil) != nil {
				return
			}
		}
	})
	return nil
}

func (s *Server) serve(rwc io.ReadWriteCloser, domid uint16, dev *device) error {
	c := newConn(s, rwc, domid)
	c.dev = dev
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.domains[domid] {
		_ = rwc.Close()
		return fmt.Errorf("connect to xenstored as domain %d: not introduced, or the server is closed: %w", domid,
			net.ErrClosed)
	}
	s.conns = append(s.conns, c)
	s.wg.Go(c.readLoop)
	s.wg.Go(c.writeLoop)
	return nil
}

// gone takes a connection off the list, and with it its watches and
// transactions.
func (s *Server) gone(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range s.conns {
		if k == c {
			s.conns = append(s.conns[:i:i], s.conns[i+1:]...)
			return
		}
	}
}

// Conns is how many connections there are.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Watches is how many watches all connections of a domain hold, and
// Transactions how many are open.
func (s *Server) Watches(domid uint16) int {
	n, _ := s.held(domid)
	return n
}

// Transactions is how many transactions of a domain are open.
func (s *Server) Transactions(domid uint16) int {
	_, n := s.held(domid)
	return n
}

func (s *Server) held(domid uint16) (watches, txs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heldLocked(domid)
}

func (s *Server) heldLocked(domid uint16) (watches, txs int) {
	for _, c := range s.conns {
		if c.domid == domid {
			watches += len(c.watches)
			txs += len(c.txs)
		}
	}
	return watches, txs
}

// IntroduceDomain makes a domain known, as the toolstack does, and fires
// @introduceDomain. It makes no nodes.
func (s *Server) IntroduceDomain(domid uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.introduce(domid)
}

func (s *Server) introduce(domid uint16) {
	s.domains[domid] = true
	s.special(xenstore.IntroduceDomain)
}

// ReleaseDomain forgets a domain, as after its end: its connections are closed
// and @releaseDomain fires. Its nodes stay: the toolstack removes them.
func (s *Server) ReleaseDomain(domid uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(domid)
}

func (s *Server) release(domid uint16) {
	delete(s.domains, domid)
	for _, c := range s.conns {
		if c.domid == domid {
			c.drop()
		}
	}
	s.special(xenstore.ReleaseDomain)
}

// AddDomain does what a toolstack does for a new domain: it writes name and
// domid below /local/domain/<domid>, gives the domain a data and a device
// directory of its own, and introduces it.
func (s *Server) AddDomain(domid uint16, name string) {
	home := xenstore.DomainPath(domid)
	own := []xenstore.Perm{{DomID: domid, Access: xenstore.AccessNone}}
	s.Write(home+"/name", name, xenstore.Perm{DomID: private, Access: xenstore.AccessNone},
		xenstore.Perm{DomID: domid, Access: xenstore.AccessRead})
	s.Write(home+"/domid", strconv.Itoa(int(domid)), xenstore.Perm{DomID: private, Access: xenstore.AccessNone},
		xenstore.Perm{DomID: domid, Access: xenstore.AccessRead})
	s.Write(home, "", xenstore.Perm{DomID: private, Access: xenstore.AccessNone},
		xenstore.Perm{DomID: domid, Access: xenstore.AccessRead})
	s.Write(home+"/data", "", own...)
	s.Write(home+"/device", "", own...)
	s.IntroduceDomain(domid)
}

// RemoveDomain does what a toolstack does when a domain has ended: it releases
// it and removes its nodes.
func (s *Server) RemoveDomain(domid uint16) {
	s.ReleaseDomain(domid)
	s.Remove(xenstore.DomainPath(domid))
}

// Write sets a node as domain 0 would, and its permissions if some are given.
func (s *Server) Write(path, value string, perms ...xenstore.Perm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base.write(private, path, value)
	if len(perms) > 0 {
		s.base.setPerms(private, path, perms)
	}
	s.flush()
}

// Remove removes a node and all below it.
func (s *Server) Remove(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base.rm(private, path)
	s.flush()
}

// Dump gives the whole store: absolute paths and values.
func (s *Server) Dump() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string]string)
	s.base.root.walk("/", func(p string, n *node) { m[p] = n.value })
	return m
}
