// Package ring is the wire of libxenvchan, byte for byte: the page that two
// parties share, the two byte rings in or beside it, and nothing that waits.
//
// [Create] formats a page as the server does, [Attach] joins one as the client
// does; then [Ring.Read] and [Ring.Write] move bytes without ever blocking and
// say whether the peer asked to be told.
//
// Source of the format: xen/io/libxenvchan.h, tools/libs/vchan of Xen.
//
// The shared memory is hostile. Each index that the peer writes is loaded once
// per operation, checked, and then used; our own indices, the ring sizes and
// the orders are kept in private memory and only ever stored to the page. What
// the reader took is wiped from the ring before its space is given back.
//
// One goroutine may read while another writes; two readers, or two writers,
// must be kept apart by the caller. The other methods are safe at any time.
// Only little-endian machines can take part, as the page is little-endian.
package ring
