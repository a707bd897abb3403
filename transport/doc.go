// Package transport is what all carriers share: a connection, who is at its
// other end, a listener, the errors that a caller decides on, and what a
// carrier says of itself ([Carrier]).
//
// A carrier is one way for a guest to reach its host. Each is a package of its
// own below this one, with both ends; package transport/all lists them. What
// comes out of any is a byte stream with deadlines and, on the host's side, the
// [Peer] that the carrier vouches for. No package here knows what is said over
// the stream, nor who serves it.
package transport
