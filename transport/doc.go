// Package transport knows how hosts and guests reach each other: channel addresses and the carriers behind them.
//
// A host calls [Listen], a guest [Dial], both with an address in URL form. Today's carriers:
//
//	local:/run/xentropyd/local.sock    a vchan over shared memory between two processes of one machine (Linux)
//
// What comes out is a byte stream with deadlines and, on the host's side, the [Peer] that the carrier vouches for. The package knows
// neither what is said over the stream nor who serves it.
package transport
