package xenstoretest

import (
	"strings"

	"github.com/xentropyd/xentropyd/xenstore"
)

// node is one node of the tree. It never changes once it is part of a tree: a
// change copies the path down to it, so a transaction keeps its own view for
// nothing.
type node struct {
	name  string
	value string
	perms []xenstore.Perm
	gen   uint64 // set anew with each change of value, permissions or list of children
	kids  []*node
}

func (n *node) kid(name string) (int, *node) {
	for i, k := range n.kids {
		if k.name == name {
			return i, k
		}
	}
	return -1, nil
}

// split gives the names of an absolute path; the root has none.
func split(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(path[1:], "/")
}

func (n *node) find(names []string) *node {
	for _, s := range names {
		if _, n = n.kid(s); n == nil {
			return nil
		}
	}
	return n
}

// put gives a tree with the node at names replaced by next, or removed when
// next is nil. The parent must exist. Names new to a parent come last in its
// list.
func (n *node) put(names []string, next *node, gen uint64) *node {
	if len(names) == 0 {
		return next
	}
	c := *n
	c.kids = append([]*node(nil), n.kids...)
	i, k := n.kid(names[0])
	switch {
	case len(names) > 1:
		c.kids[i] = k.put(names[1:], next, gen)
	case next == nil:
		c.kids = append(c.kids[:i], c.kids[i+1:]...)
		c.gen = gen
	case k == nil:
		c.kids = append(c.kids, next)
		c.gen = gen
	default:
		c.kids[i] = next
	}
	return &c
}

// walk visits a node and all below it, parents first.
func (n *node) walk(path string, visit func(string, *node)) {
	visit(path, n)
	for _, k := range n.kids {
		k.walk(xenstore.Join(path, k.name), visit)
	}
}

// childBytes is the length of the list of children on the wire.
func (n *node) childBytes() int {
	sum := 0
	for _, k := range n.kids {
		sum += len(k.name) + 1
	}
	return sum
}
