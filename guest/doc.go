// Package guest seeds a program, a unikernel or a whole Linux guest from a host that runs xentropyd.
//
// [Open] connects, waits for the first seed and returns a [Guest], which is an io.Reader of random bytes:
//
//	g, err := guest.Open(ctx, dial)
//	if err != nil { … }
//	defer g.Close()
//	_, err = g.Read(key)
//
// From then on it follows the host for ever: it takes the seeds that the host pushes, begins a new generation when the host says
// that the guest's state may have been cloned, and dials again with back-off when the host goes away, while reads go on. Its own CPU
// and timing sources are mixed in always, and when they are good enough they serve without any host: [Status] says which it was.
// Each read asks package guest/snapshot whether this machine was copied meanwhile.
//
// How the host is reached is the caller's affair, see [Dialer]. The package needs no network and no cgo. Package guest/kernelrng is for
// [WithKernel].
package guest
