package scrub

// registerCopy is a length in bytes for which the runtime's copying routine
// loads all the registers that it ever uses: on amd64 it takes X0 to X15 for
// 129 to 256 bytes, elsewhere it goes round with the same few.
const registerCopy = 256

// zeroBlock is what registers are overwritten from. Never written.
var zeroBlock [registerCopy]byte

// Stack overwrites Depth bytes of the stack below its caller's frame, and the
// vector registers, in which the end of whatever was copied last stands until
// something else is copied, and whence a signal brings it to the stack. Defer
// it where secrets pass through.
//
//go:noinline
func Stack() {
	var b [Depth]byte
	keep(&b)
	copyZeros(b[:], len(zeroBlock))
}

// copyZeros copies a length that the compiler does not know, or it would not
// call the runtime for it.
//
//go:noinline
func copyZeros(to []byte, n int) { copy(to[:n], zeroBlock[:n]) }

// keep makes the compiler believe that somebody looks.
//
//go:noinline
func keep(*[Depth]byte) {}
