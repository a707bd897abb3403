// Package scrub overwrites what computations with secrets leave behind in
// places that have no name: the stack below the caller, and the block buffers
// of hashes.
//
//	scrub.Do(func() { h.Write(secret); sum = h.Sum(sum); scrub.Hash(h) })
//
// Built with GOEXPERIMENT=runtimesecret, where the platform has it, [Do] is
// [runtime/secret.Do], which erases registers and the heap too. It imports no
// os, net or syscall package.
package scrub

import "hash"

// Depth is how many bytes of stack below its caller Do overwrites: several
// times what the standard library's SHA-2, HMAC and AES need. Our own choice.
const Depth = 4 << 10

// zeros is what block buffers are filled with: the longest block there is,
// SHA3-224's, has 144 bytes.
var zeros [144]byte

// Hash resets h and overwrites the block that it buffers: Reset alone leaves
// the end of what was hashed in memory. A lone byte and then the rest of a
// block pass through the buffer, which a whole block at once would not.
func Hash(h hash.Hash) {
	h.Reset()
	h.Write(zeros[:1])
	h.Write(zeros[1:h.BlockSize()])
	h.Reset()
}
