// Package transport knows how hosts and guests reach each other: channel addresses and the carriers behind them.
//
// A host calls [Listen], a guest [Dial], both with an address in URL form. Today's carriers:
//
//	local:/run/xentropyd/local.sock    a vchan over shared memory between two processes of one machine (Linux)
//	xen:                               a vchan between two domains; the guest offers it, to domain 0 or to xen:N (Linux)
//	console:                           a guest's end of the PV console org.openmirage.entropy.1, or of console:NAME, console:/dev/hvcN (Linux)
//
// The last two are for guests alone; the host's end finds its guests by itself. A Dial of these waits for the host as long as its
// context allows.
//
// What comes out is a byte stream with deadlines and, on the host's side, the [Peer] that the carrier vouches for. The package knows
// neither what is said over the stream nor who serves it.
package transport
