// Package xen carries a vchan between two Xen domains: the wire and the
// xenstore nodes of libxenvchan, in both roles.
//
// A server calls [Offer]: it allocates the memory, grants it to the peer and
// publishes where it is; a client calls [Connect]. In xentropyd the guest
// offers and the host connects. Both need /dev/xen/evtchn, the server
// /dev/xen/gntalloc, the client /dev/xen/gntdev, and a [xenstore.Client].
//
// For either end everything that the peer brings is hostile: the nodes are
// parsed strictly, the page's header is loaded once and checked before
// anything is mapped by it, and what the peer does later with the memory or
// the events ends its own channel at most.
//
// # When the peer goes
//
// A peer that closes says so in the page. One that is killed, in whatever
// state, leaves it to its kernel to clear its byte in the page and to send an
// event; reads then end and writes fail as after a close. A whole domain that
// is destroyed can do neither: its ports and grants just go. Who may meet that
// watches xenstore's @releaseDomain and closes the Conn ([vchan.Conn.Close], or
// [vchan.Conn.Abort] with a reason), which unmaps at once. That is not only for
// order: as long as a client has its pages mapped, a dead domain stays behind
// as a zombie. [vchan.Conn.HangUp] lets what is in the ring be read first.
//
// # When the own domain is restored
//
// A domain that is saved and restored finds its event channels dead, and
// nothing tells it but xenstore. Linux does not bear it that one of before is
// unbound, see [Port]: a server in a domain that may be restored offers on a
// Port, closes the Conn when it hears of the restore, and offers anew on
// another Port. A client has no such thing: a Conn of [Connect] that was made
// before the restore must not be closed after it.
//
// A Conn without a Port has its own open /dev/xen/evtchn, and after the start
// no other file. A daemon with many guests so needs one descriptor a guest, and
// none of them can fill or hold up the event queue of another; the kernel
// queues at most one event for it, however often the peer sends.
package xen
