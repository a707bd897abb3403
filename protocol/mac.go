package protocol

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// macLabel separates the session's MAC key from any other use of the nonce.
const macLabel = "xentropyd protocol 2, host to guest"

// macKey derives the key of a session's host frames: HMAC-SHA-256 under the guest's nonce. The nonce has crossed the
// channel, so the MAC is no defence against who owns the channel (the hypervisor's grants are): it binds each frame to
// this session and its place in it, so that a recorded, stale or reordered frame is refused.
func macKey(nonce *[NonceSize]byte) (key [sha256.Size]byte) {
	h := hmac.New(sha256.New, nonce[:])
	h.Write([]byte(macLabel))
	h.Sum(key[:0])
	return key
}

// appendMAC appends the MAC of the host frame number count of the session (0 is the welcome) whose header and payload
// are frame: HMAC-SHA-256(key, count as 64 bits || frame).
func appendMAC(b []byte, key *[sha256.Size]byte, count uint64, frame []byte) []byte {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], count)
	h := hmac.New(sha256.New, key[:])
	h.Write(n[:])
	h.Write(frame)
	return h.Sum(b)
}
