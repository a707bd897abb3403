package protocol

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/xentropyd/xentropyd/internal/scrub"
)

// macLabel separates the session's MAC key from any other use of the nonce.
const macLabel = "xentropyd protocol 2, host to guest"

// mac makes the codes of one session's host frames: HMAC-SHA-256(key, count as
// 64 bits || header and payload), where count numbers the frames and 0 is the
// welcome. It is emptied after each frame: a hash keeps the end of what went
// through it.
type mac struct {
	hmac  hash.Hash
	count [8]byte
}

// newMAC derives the key of a session's host frames: HMAC-SHA-256 under the
// guest's nonce. The nonce has crossed the channel, so the MAC is no defence
// against who owns the channel (the hypervisor's grants are): it binds each
// frame to this session and its place in it, so that a recorded, stale or
// reordered frame is refused.
func newMAC(nonce *[NonceSize]byte) *mac {
	h := hmac.New(sha256.New, nonce[:])
	h.Write([]byte(macLabel))
	return &mac{hmac: hmac.New(sha256.New, h.Sum(nil))}
}

// append appends the MAC of frame number count.
func (m *mac) append(b []byte, count uint64, frame []byte) []byte {
	binary.BigEndian.PutUint64(m.count[:], count)
	scrub.Do(func() {
		m.hmac.Write(m.count[:])
		m.hmac.Write(frame)
		b = m.hmac.Sum(b)
		scrub.Hash(m.hmac)
	})
	return b
}
