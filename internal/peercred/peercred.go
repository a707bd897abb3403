// Package peercred asks the kernel who is at the other end of a Unix socket.
//
// What it says is the peer's credentials when it connected, or listened:
// nothing that the peer does later changes the answer, and nothing that it says
// is asked for.
package peercred

// Creds are the credentials of a peer.
type Creds struct {
	PID      int32 // 0: a process of another PID namespace
	UID, GID uint32
	Groups   []uint32 // supplementary; nil unless asked for with Groups
}
