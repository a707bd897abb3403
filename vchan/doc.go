// Package vchan is the byte channel between two domains that libxenvchan
// defines, as a net.Conn.
//
// A back end brings the shared memory and the events, and makes a [Conn] of
// them with [New]; [Pipe] gives two connected ones inside one process, for
// tests. Package local has a back end for two processes of one machine (its
// Listen and Dial are what most callers want), package xen one for two domains
// (Offer and Connect); the wire itself is in package ring.
//
// The words are those of libxenvchan: the server owns the memory and offers
// it, the client maps it. When the peer goes, what it had written can still be
// read, then reads give io.EOF and writes [ErrPeerGone]. A peer that breaks the
// rules of the ring costs its own channel, and nothing else.
package vchan
