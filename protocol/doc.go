// Package protocol is what a host and a guest of xentropyd say to each other on
// a byte stream.
//
// A guest begins with [NewGuest] and what its Hello returns, a host with [Peek]
// on the first byte and, for protocol 2, [NewHost]. Both are plain state
// machines: they turn messages into frames and frames into messages, verify
// what must be verified, and never read, write, wait or start a goroutine.
// [Decoder] cuts a stream into frames and survives read deadlines in mid-frame.
//
// Two protocols share the stream. Protocol 1 is MirageOS's of 2014: a line of
// text each way, then raw entropy (v1.go). Protocol 2 is frames (frame.go),
// described byte for byte in docs/protocol.md. The guest speaks first in both,
// and its first byte tells them apart.
//
// The package imports no os, net or syscall package, so that a unikernel can
// link it.
package protocol

// Version is the newest protocol version with frames.
const Version = 2

// Limits that both sides enforce, in bytes. They are our own choice, not
// anybody's standard.
const (
	// HeaderSize is the size of a frame's header: type, flags, payload length.
	HeaderSize = 4
	// NonceSize is the size of the guest's fresh nonce, which keys the MAC of
	// all host frames of the session.
	NonceSize = 32
	// MACSize is the size of the HMAC-SHA-256 that ends every host frame.
	MACSize = 32
	// InstanceSize is the size of a host instance's random identity.
	InstanceSize = 16
	// MaxSeed is the longest entropy payload of one seed frame.
	MaxSeed = 1024
	// MaxLabel is the longest label that a guest gives itself.
	MaxLabel = 64
	// MaxDetail is the longest explanation in an acknowledgement.
	MaxDetail = 80
	// MaxTargets is how many targets one acknowledgement can name.
	MaxTargets = 4
	// MaxCloseText is the longest explanation in a close frame.
	MaxCloseText = 120
	// MaxGuestPayload bounds the payload of every frame from guest to host.
	MaxGuestPayload = 17 + MaxTargets*(5+MaxDetail)
	// MaxHostPayload bounds the payload of every frame from host to guest, MAC
	// included.
	MaxHostPayload = seedFixed + MaxSeed + MACSize
)
