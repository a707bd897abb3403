// Package xenstore is a client of xenstored, Xen's small database of
// configuration and state. Open connects to the daemon of this machine, and
// Client.Transaction changes several nodes at once:
//
//	c, err := xenstore.Open(ctx)
//	...
//	defer c.Close()
//	err = c.Transaction(ctx, func(tx *xenstore.Tx) error {
//		if err := tx.Write(ctx, path+"/ring-ref", "8"); err != nil {
//			return err
//		}
//		return tx.Write(ctx, path+"/event-channel", "3")
//	})
//
// It speaks the protocol of xen/io/xs_wire.h and docs/misc/xenstore.txt (Xen
// 4.17) over the daemon's Unix socket or, inside a guest, over the kernel's
// /dev/xen/xenbus (Linux 4.16 or later: older kernels lose the caller's request
// ids).
//
// A Client serves any number of goroutines; requests are multiplexed by request
// id, over the device sent one after another. Every call ends when its context
// does. Errors that the daemon gave keep the daemon's name (*Error) and answer
// to errors.Is with ErrNotFound, ErrAgain and so on. A peer that breaks the
// protocol loses the connection, with a *ProtocolError that names the place.
//
// Xenstore is readable by others: secrets do not belong in it.
package xenstore
