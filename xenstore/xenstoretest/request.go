package xenstoretest

import (
	"bytes"
	"strconv"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

var done = wire.Join("OK")

// do performs a request and gives the payload of its reply.
func (c *conn) do(h wire.Header, payload []byte) ([]byte, errName) {
	list, terminated := wire.Strings(payload)
	if !terminated && h.Op != wire.Write {
		return nil, eINVAL
	}
	// Watches ignore the transaction id, everything else needs a good one.
	v := c.s.base
	if h.Tx != 0 && h.Op != wire.Watch && h.Op != wire.Unwatch {
		if v = c.txs[h.Tx]; v == nil {
			return nil, eNOENT
		}
	}
	switch h.Op {
	case wire.Watch:
		return done, c.watch(list)
	case wire.Unwatch:
		return done, c.unwatch(list)
	case wire.ResetWatches:
		c.watches = nil
		clear(c.txs)
		return done, ok
	case wire.TransactionStart:
		return c.start(h)
	case wire.TransactionEnd:
		return done, c.end(h, list)
	case wire.Directory, wire.DirectoryPart, wire.Read, wire.GetPerms:
		return c.look(v, h.Op, list)
	case wire.Write, wire.Mkdir, wire.Rm, wire.SetPerms:
		return done, c.change(v, h.Op, list, payload)
	}
	return c.domain(h.Op, list)
}

func (c *conn) start(h wire.Header) ([]byte, errName) {
	if h.Tx != 0 {
		return nil, eBUSY
	}
	if _, n := c.s.heldLocked(c.domid); c.domid != private && n >= QuotaTransactions {
		return nil, eNOSPC
	}
	for c.lastTx++; c.lastTx == 0 || c.txs[c.lastTx] != nil; c.lastTx++ {
	}
	c.txs[c.lastTx] = c.s.base.begin()
	return wire.Join(strconv.FormatUint(uint64(c.lastTx), 10)), ok
}

func (c *conn) end(h wire.Header, list []string) errName {
	if len(list) != 1 || list[0] != "T" && list[0] != "F" {
		return eINVAL
	}
	tx := c.txs[h.Tx]
	if tx == nil {
		return eNOENT
	}
	delete(c.txs, h.Tx)
	if list[0] == "F" {
		return ok
	}
	return c.s.base.commit(tx)
}

// look answers what changes nothing.
func (c *conn) look(v *view, op wire.Op, list []string) ([]byte, errName) {
	if want := map[bool]int{false: 1, true: 2}[op == wire.DirectoryPart]; len(list) != want {
		return nil, eINVAL
	}
	if op == wire.DirectoryPart && c.s.opt.noParts {
		return nil, eNOSYS
	}
	path, e := c.path(list[0])
	if e != ok {
		return nil, e
	}
	n, e := v.node(c.domid, path, false)
	if e != ok {
		return nil, e
	}
	switch op {
	case wire.Read:
		return []byte(n.value), ok
	case wire.GetPerms:
		perms := make([]string, len(n.perms))
		for i, p := range n.perms {
			perms[i] = p.String()
		}
		return wire.Join(perms...), ok
	}
	names := make([]string, len(n.kids))
	for i, k := range n.kids {
		names[i] = k.name
	}
	all := wire.Join(names...)
	if op == wire.Directory {
		return all, ok
	}
	return directoryPart(n.gen, all, list[1]), ok
}

// directoryPart gives whole names from an offset on; an empty string follows
// the last.
func directoryPart(gen uint64, all []byte, from string) []byte {
	offset, _ := strconv.Atoi(from)
	p := wire.Join(strconv.FormatUint(gen, 10))
	if offset < 0 || offset >= len(all) {
		return append(p, 0)
	}
	rest := all[offset:]
	room := wire.MaxPayload - len(p) - 1
	if len(rest) <= room {
		return append(append(p, rest...), 0)
	}
	cut := bytes.LastIndexByte(rest[:room], 0) + 1
	return append(p, rest[:cut]...)
}

// change answers what changes nodes. In a transaction it is noted for the end.
func (c *conn) change(v *view, op wire.Op, list []string, payload []byte) errName {
	if len(list) == 0 {
		return eINVAL
	}
	if want := op == wire.Mkdir || op == wire.Rm; want && len(list) != 1 {
		return eINVAL
	}
	var perms []xenstore.Perm
	if op == wire.SetPerms {
		var err error
		if perms, err = xenstore.ParsePerms(list[1:]); err != nil || len(perms) == 0 {
			return eINVAL
		}
	}
	path, e := c.path(list[0])
	if e != ok {
		return e
	}
	value := string(payload[len(list[0])+1:])
	domid := c.domid
	f := func(v *view) errName {
		switch op {
		case wire.Write:
			return v.write(domid, path, value)
		case wire.Mkdir:
			return v.mkdir(domid, path)
		case wire.Rm:
			return v.rm(domid, path)
		}
		return v.setPerms(domid, path, perms)
	}
	e = f(v)
	if v.seen != nil && e == ok {
		v.log = append(v.log, func(v *view) { f(v) })
	}
	return e
}

// domain answers what concerns domains.
func (c *conn) domain(op wire.Op, list []string) ([]byte, errName) {
	switch op {
	case wire.GetDomainPath, wire.IsDomainIntroduced, wire.Introduce, wire.Release, wire.Resume, wire.SetTarget:
	case wire.Control:
		if c.domid != private {
			return nil, eACCES
		}
		return nil, eINVAL
	default:
		return nil, eNOSYS
	}
	if op != wire.GetDomainPath && c.domid != private {
		return nil, eACCES
	}
	if len(list) == 0 {
		return nil, eINVAL
	}
	n, err := strconv.ParseUint(list[0], 10, 16)
	if err != nil {
		return nil, eINVAL
	}
	id := uint16(n)
	known := c.s.domains[id]
	switch op {
	case wire.GetDomainPath:
		return wire.Join(xenstore.DomainPath(id)), ok
	case wire.IsDomainIntroduced:
		if known {
			return wire.Join("T"), ok
		}
		return wire.Join("F"), ok
	case wire.Introduce:
		if len(list) < 3 || id == private {
			return nil, eINVAL
		}
		c.s.introduce(id)
		return done, ok
	}
	if !known || id == private {
		return nil, eNOENT
	}
	if op == wire.Release {
		c.s.release(id)
	}
	return done, ok
}
