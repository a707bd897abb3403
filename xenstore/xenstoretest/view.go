package xenstoretest

import (
	"github.com/xentropyd/xentropyd/xenstore"
)

// errName is an error of the daemon by its name on the wire; the empty one is
// none.
type errName string

const (
	ok     errName = ""
	eINVAL errName = "EINVAL"
	eACCES errName = "EACCES"
	eEXIST errName = "EEXIST"
	eNOENT errName = "ENOENT"
	eNOSPC errName = "ENOSPC"
	eNOSYS errName = "ENOSYS"
	eBUSY  errName = "EBUSY"
	eAGAIN errName = "EAGAIN"
	e2BIG  errName = "E2BIG"
	ePERM  errName = "EPERM"
)

// private is the domain that may do everything.
const private uint16 = 0

// Default quotas of the C xenstored for each unprivileged domain.
const (
	QuotaNodes        = 1000
	QuotaWatches      = 128
	QuotaTransactions = 10
	QuotaNodeSize     = 2048 // bytes of value, names of children and permissions
	QuotaPerms        = 5    // entries of a permission list
)

// view is the tree as one reads and changes it: the store itself or a
// transaction's.
type view struct {
	root  *node
	owned map[uint16]int // nodes of each unprivileged domain
	next  func() uint64  // a new generation
	seen  map[string]uint64
	fired []change
	log   []func(*view) // in a transaction, what is to be done at its end
}

// change is what watches are told of.
type change struct {
	path    string
	below   bool // part of a tree removed: tell exact watches alone
	perms   []xenstore.Perm
	parent  []xenstore.Perm
	removed bool
}

// get looks a node up and notes in a transaction that it was looked at.
func (v *view) get(path string) *node {
	n := v.root.find(split(path))
	if v.seen != nil {
		if _, there := v.seen[path]; !there {
			v.seen[path] = generation(n)
		}
	}
	return n
}

func generation(n *node) uint64 {
	if n == nil {
		return 0
	}
	return n.gen
}

// access is what a domain may do with a node that has these permissions.
func access(domid uint16, perms []xenstore.Perm) (read, write, owner bool) {
	if domid == private || perms[0].DomID == domid {
		return true, true, true
	}
	for _, p := range perms[1:] {
		if p.DomID == domid {
			return p.Access.CanRead(), p.Access.CanWrite(), false
		}
	}
	return perms[0].Access.CanRead(), perms[0].Access.CanWrite(), false
}

func may(domid uint16, perms []xenstore.Perm, write bool) bool {
	r, w, _ := access(domid, perms)
	if write {
		return w
	}
	return r
}

// node gives a node that the domain may read, or write. Whoever may not do the
// same to the nearest ancestor there is learns nothing about the node but
// EACCES.
func (v *view) node(domid uint16, path string, write bool) (*node, errName) {
	n := v.get(path)
	if n != nil && may(domid, n.perms, write) {
		return n, ok
	}
	e := eNOENT
	if n != nil {
		e = eACCES
	}
	for p := path; p != "/"; {
		p, _ = xenstore.Parent(p)
		if a := v.get(p); a != nil {
			if !may(domid, a.perms, write) {
				e = eACCES
			}
			break
		}
	}
	return nil, e
}

func (v *view) size(n *node) int { return len(n.value) + n.childBytes() + 8*len(n.perms) }

// create makes a node and the missing ones above it. They inherit permissions,
// and unprivileged domains own what they make.
func (v *view) create(domid uint16, path, value string) errName {
	names := split(path)
	have := 0
	parent := v.root
	for have < len(names) {
		_, k := parent.kid(names[have])
		if k == nil {
			break
		}
		parent = k
		have++
	}
	if domid != private {
		if v.owned[domid]+len(names)-have > QuotaNodes {
			return eNOSPC
		}
		if len(value)+8*len(parent.perms) >= QuotaNodeSize || v.size(parent)+len(names[have])+1 >= QuotaNodeSize {
			return eNOSPC
		}
	}
	for i := have; i < len(names); i++ {
		n := &node{name: names[i], gen: v.next(), perms: append([]xenstore.Perm(nil), parent.perms...)}
		if domid != private {
			n.perms[0].DomID = domid
		}
		if i == len(names)-1 {
			n.value = value
		}
		v.root = v.root.put(names[:i+1], n, v.next())
		v.count(n, 1)
		parent = n
	}
	v.fired = append(v.fired, change{path: path, perms: parent.perms})
	return ok
}

func (v *view) count(n *node, d int) {
	if id := n.perms[0].DomID; id != private {
		v.owned[id] += d
	}
}

// replace changes a node in place.
func (v *view) replace(path string, n *node, f func(*node)) {
	c := *n
	c.gen = v.next()
	f(&c)
	v.root = v.root.put(split(path), &c, c.gen)
	v.fired = append(v.fired, change{path: path, perms: c.perms})
}

func (v *view) write(domid uint16, path, value string) errName {
	n, e := v.node(domid, path, true)
	if e == eNOENT {
		return v.create(domid, path, value)
	}
	if e != ok {
		return e
	}
	if domid != private && v.size(n)-len(n.value)+len(value) >= QuotaNodeSize {
		return eNOSPC
	}
	v.replace(path, n, func(c *node) { c.value = value })
	return ok
}

func (v *view) mkdir(domid uint16, path string) errName {
	_, e := v.node(domid, path, true)
	if e == eNOENT {
		return v.create(domid, path, "")
	}
	return e
}

func (v *view) rm(domid uint16, path string) errName {
	n, e := v.node(domid, path, true)
	up, above := xenstore.Parent(path)
	if e == eNOENT {
		if above && v.get(up) != nil {
			return ok
		}
		return e
	}
	if e != ok {
		return e
	}
	if !above {
		return eINVAL
	}
	parent := v.get(up)
	n.walk(path, func(p string, k *node) {
		v.get(p)
		v.count(k, -1)
		v.fired = append(v.fired, change{
			path: p, below: p != path, perms: k.perms,
			parent: parent.perms, removed: true,
		})
	})
	v.root = v.root.put(split(path), nil, v.next())
	return ok
}

func (v *view) setPerms(domid uint16, path string, perms []xenstore.Perm) errName {
	if domid != private && len(perms) > QuotaPerms {
		return eNOSPC
	}
	n, e := v.node(domid, path, true)
	if e != ok {
		return e
	}
	if _, _, owner := access(domid, n.perms); !owner {
		return eACCES
	}
	if domid != private && perms[0].DomID != n.perms[0].DomID {
		return ePERM
	}
	v.count(n, -1)
	v.replace(path, n, func(c *node) { c.perms = perms })
	v.count(v.root.find(split(path)), 1)
	return ok
}

// begin makes the view of a transaction.
func (v *view) begin() *view {
	owned := make(map[uint16]int, len(v.owned))
	for k, n := range v.owned {
		owned[k] = n
	}
	return &view{root: v.root, owned: owned, next: v.next, seen: make(map[string]uint64)}
}

// commit does in v what was done in the transaction, unless a node that it
// looked at has changed.
func (v *view) commit(tx *view) errName {
	for path, gen := range tx.seen {
		if generation(v.root.find(split(path))) != gen {
			return eAGAIN
		}
	}
	for _, f := range tx.log {
		f(v)
	}
	return ok
}
