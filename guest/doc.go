// Package guest seeds a program, a unikernel or a whole Linux guest from a host
// that runs xentropyd.
//
// [Open] connects to the host, waits for its first seed and returns a [Guest].
// [Guest.Read] gives random bytes that nobody else gets:
//
//	g, err := guest.Open(ctx, xen.Dialer(0), guest.Options{})
//	if err != nil { … }
//	defer g.Close()
//	_, err = g.Read(key)
//
// From then on the Guest follows its host until Close. It takes each seed that
// the host pushes, starts afresh when the host says that this machine may have
// been copied, and connects again when the host was away; reads go on
// meanwhile. The machine's own noise sources are mixed in, and serve alone
// where there is no host: [Guest.Status] says which it was.
//
// # Reaching the host
//
// Each package below transport has a Dialer: xen.Dialer(0) in a guest of Xen,
// local.Dialer(path) in a container or any process beside the daemon. Package
// transport/all has one for an address as people write it, such as
// "local:/run/xentropyd/local.sock", and all.Carriers.DialFound looks for the
// host by itself. Anything else that carries bytes will do, see [Open]. This
// package itself needs no network, no files and no cgo.
//
// # crypto/rand
//
// A Guest is an io.Reader, but since Go 1.26 the standard library makes keys
// with crypto/rand's own source and ignores the reader that it is given:
// GenerateKey of crypto/ecdh, crypto/ecdsa and crypto/rsa, ECDSA's signatures,
// and the keys of each TLS connection (go doc crypto/ecdh.Curve; GODEBUG
// cryptocustomrand=1 brings the old behaviour back for as long as Go has it;
// only crypto/ed25519 still takes the reader). crypto/rand in turn asks the
// operating system. So:
//
//   - On Linux feed the kernel: with Options.Kernel from package
//     guest/kernelrng, or by running entropy-guest. Then every program of the
//     machine, and crypto/rand in this one, stands on the host's seed.
//   - Without an operating system the runtime has a hook for random bytes, with
//     TamaGo runtime/goos.GetRandomData. Have it call Read once Open has
//     returned. The runtime asks it before main begins, so until then it gives
//     what the board has; and it has no way to fail, so at an [ErrStale] it
//     tries again. Built for GOOS=tamago a Guest asks crypto/rand for nothing.
//   - Where neither can be, make the key from bytes that were read: with
//     NewPrivateKey of crypto/ecdh, ParseRawPrivateKey of crypto/ecdsa, or
//     NewKeyFromSeed of crypto/ed25519.
//
// # Copies of a machine
//
// Two machines restored from one snapshot must not give the same bytes. Each
// Read asks package guest/snapshot whether this machine was copied, the host
// tells when it knows, and a channel that learns of a restore tells too. What a
// Read gives afterwards comes from entropy that no copy has, or it is
// [ErrStale]. A kernel that is fed has such entropy with the host's next seed,
// which a restored guest of Xen gets at once, but not before. Where a key
// cannot wait for that, make it from what Read gives.
//
// # Versions
//
// From version 1 on these packages keep their API as Go 1 does: guest,
// guest/snapshot, guest/kernelrng; transport, transport/all, and Dialer and
// Listen of each carrier below it; host, and the client in host/control; vchan,
// xenstore, fortuna and source. All others may change with any version, above
// all those below internal, lab, bench and cmd. Status and Options may get more
// fields.
package guest
