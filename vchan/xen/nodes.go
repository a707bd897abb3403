package xen

import (
	"context"
	"errors"
	"strconv"

	"github.com/xentropyd/xentropyd/xenstore"
)

// Published is what a server publishes below its path. As long as its page is
// granted, no other offer of that domain is equal to it.
type Published struct {
	Ref  uint32 // grant reference of the page
	Port uint32 // the server's event channel
}

// lookupTries is how often Lookup reads nodes that change under its eyes.
const lookupTries = 4

// parse reads the two values as hostile input: decimal digits and nothing else.
func parse(path, ref, port string) (p Published, err error) {
	if p.Ref, err = xenstore.ParseNumber(xenstore.Join(path, nodeRing), ref, 1, xenstore.MaxGrantRef); err != nil {
		return Published{}, err
	}
	if p.Port, err = xenstore.ParseNumber(xenstore.Join(path, nodePort), port, 1, xenstore.MaxPort); err != nil {
		return Published{}, err
	}
	return p, nil
}

// Lookup looks once for an offer below path. Nodes that are missing or (yet)
// unreadable are found == false, one without the other as well, and those that
// change while they are read: for these there will be another event of a watch.
// What cannot be an offer is a *xenstore.NodeError.
//
// It asks for one value after the other. A transaction that is given up would
// still be under way in /dev/xen/xenbus when await sets its watch, and there
// the kernel may not have both: its xenbus_file_write waits for the watch's
// reply with the mutex that the other reply needs.
func Lookup(ctx context.Context, store *xenstore.Client, path string) (p Published, found bool, err error) {
	ref, err := store.Read(ctx, xenstore.Join(path, nodeRing))
	for tries := 0; err == nil && tries < lookupTries; tries++ {
		var port, again string
		if port, err = store.Read(ctx, xenstore.Join(path, nodePort)); err != nil {
			break
		}
		if again, err = store.Read(ctx, xenstore.Join(path, nodeRing)); err != nil {
			break
		}
		if again == ref { // so the two belong together
			p, err = parse(path, ref, port)
			return p, err == nil, err
		}
		ref = again
	}
	// A domain that may not look below the parent is told EACCES of what is not
	// there.
	if errors.Is(err, xenstore.ErrNotFound) || errors.Is(err, xenstore.ErrPermission) {
		err = nil
	}
	return Published{}, false, err
}

// await waits for an offer.
func await(ctx context.Context, store *xenstore.Client, path string) (Published, error) {
	n, found, err := Lookup(ctx, store, path)
	if found || err != nil {
		return n, err
	}
	w, err := store.Watch(ctx, path)
	if err != nil {
		return Published{}, err
	}
	defer func() { _ = w.Close() }()
	for {
		if _, err := w.Wait(ctx); err != nil {
			return Published{}, err
		}
		if n, found, err = Lookup(ctx, store, path); found || err != nil {
			return n, err
		}
	}
}

// publish writes the nodes, readable by the peer alone. Domain 0 reads whatever
// there is and needs no permission; each request that is not made brings a
// restored guest back to its host the sooner.
func publish(ctx context.Context, store *xenstore.Client, path string, own, peer uint16,
	n Published, fresh bool,
) error {
	write := func(s xenstore.Store) error {
		perms := []xenstore.Perm{{DomID: own, Access: xenstore.AccessNone}, {DomID: peer, Access: xenstore.AccessRead}}
		// The reference comes last: without it nobody looks at the port.
		for _, v := range [...]struct {
			name  string
			value uint32
		}{{nodePort, n.Port}, {nodeRing, n.Ref}} {
			p := xenstore.Join(path, v.name)
			if err := s.Write(ctx, p, strconv.FormatUint(uint64(v.value), 10)); err != nil {
				return err
			}
			if peer == 0 {
				continue
			}
			if err := s.SetPerms(ctx, p, perms...); err != nil {
				return err
			}
		}
		if peer == 0 {
			return nil
		}
		return s.SetPerms(ctx, path, perms...)
	}
	if fresh {
		return write(store)
	}
	return store.Transaction(ctx, func(tx *xenstore.Tx) error { return write(tx) })
}

// withdraw removes the path, unless somebody else's offer is there by now: as
// long as our page is granted, no other one has its reference.
func withdraw(ctx context.Context, store *xenstore.Client, path string, n Published) error {
	return store.Transaction(ctx, func(tx *xenstore.Tx) error {
		v, err := tx.Read(ctx, xenstore.Join(path, nodeRing))
		if errors.Is(err, xenstore.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if v != strconv.FormatUint(uint64(n.Ref), 10) {
			return nil
		}
		return tx.Rm(ctx, path)
	})
}
