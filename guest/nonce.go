package guest

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/protocol"
)

// hellos counts the nonces of this process, so that no two of them are equal
// whatever else fails.
var hellos atomic.Uint64

// nonceTicks is how many readings of the clock go into a nonce: how long each
// takes differs by nanoseconds each time (our choice).
const nonceTicks = 64

// nonce makes a session's nonce. It is no secret, but must be fresh, also in
// each of two clones of one machine: what they have in common is the system's
// RNG, if it answers at all, and the count. They differ by the CPU's generator
// where there is one, by the time, and by how long the readings of it took.
func (g *Guest) nonce() [protocol.NonceSize]byte {
	material := make([]byte, 2*protocol.NonceSize, 2*protocol.NonceSize+8*(nonceTicks+2))
	g.systemRNG.Fill(material[:protocol.NonceSize])
	if cpu := material[protocol.NonceSize:]; !g.instruction(cpu) {
		g.untested(cpu)
	}
	material = binary.LittleEndian.AppendUint64(material, hellos.Add(1))
	began := time.Now()
	material = binary.LittleEndian.AppendUint64(material, uint64(began.UnixNano()))
	for range nonceTicks {
		material = binary.LittleEndian.AppendUint64(material, uint64(time.Since(began)))
	}
	return sha256.Sum256(material)
}
