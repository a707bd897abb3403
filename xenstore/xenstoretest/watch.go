package xenstoretest

import (
	"strings"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// watch is one watch of a connection.
type watch struct {
	path  string // absolute, or special
	token string
	base  string // what events leave out: the domain's path and a slash, for a relative watch
}

func (w *watch) matches(path string) bool {
	return path == w.path || w.path == "/" && path[0] == '/' || strings.HasPrefix(path, w.path+"/")
}

// flush tells the watches what has changed since the last flush.
func (s *Server) flush() {
	fired := s.base.fired
	s.base.fired = nil
	for _, f := range fired {
		for _, c := range s.conns {
			if !may(c.domid, f.perms, false) && (!f.removed || !may(c.domid, f.parent, false)) {
				continue
			}
			for _, w := range c.watches {
				if w.path == f.path || !f.below && w.matches(f.path) {
					c.event(w, f.path)
				}
			}
		}
	}
}

// special fires a watch on something that is no node. Unprivileged domains are
// not told by default.
func (s *Server) special(name string) {
	for _, c := range s.conns {
		for _, w := range c.watches {
			if w.path == name && c.domid == private {
				c.event(w, name)
			}
		}
	}
}

func (c *conn) event(w *watch, path string) {
	p := wire.Join(strings.TrimPrefix(path, w.base), w.token)
	if len(p) > wire.MaxPayload {
		return
	}
	msg := wire.Message(wire.WatchEvent, 0, 0, p)
	c.send(msg)
	if c.s.opt.spurious {
		c.send(msg)
	}
}

// Fire fires all watches that match a path without any change, as a spurious
// event. Permissions are not asked.
func (s *Server) Fire(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		for _, w := range c.watches {
			if w.matches(path) {
				c.event(w, path)
			}
		}
	}
}

func (c *conn) watch(list []string) errName {
	if len(list) != 2 {
		return eINVAL
	}
	w := &watch{path: list[0], token: list[1]}
	if !strings.HasPrefix(w.path, "@") {
		abs, e := c.path(w.path)
		if e != ok {
			return e
		}
		if abs != w.path {
			w.base = xenstore.DomainPath(c.domid) + "/"
		}
		w.path = abs
	}
	for _, o := range c.watches {
		if o.path == w.path && o.token == w.token {
			return eEXIST
		}
	}
	if n, _ := c.s.heldLocked(c.domid); c.domid != private && n >= QuotaWatches {
		return e2BIG
	}
	c.watches = append(c.watches, w)
	return ok
}

func (c *conn) unwatch(list []string) errName {
	if len(list) != 2 {
		return eINVAL
	}
	path := list[0]
	if !strings.HasPrefix(path, "@") {
		abs, e := c.path(path)
		if e != ok {
			return e
		}
		path = abs
	}
	for i, w := range c.watches {
		if w.path == path && w.token == list[1] {
			c.watches = append(c.watches[:i:i], c.watches[i+1:]...)
			return ok
		}
	}
	return eNOENT
}
