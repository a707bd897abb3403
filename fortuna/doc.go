// Package fortuna is the cryptographic random number generator Fortuna, for
// hosts, guests and unikernels.
//
// Most callers want two functions, [New] and [Fortuna.Read]:
//
//	f := fortuna.New()
//	f.Reseed(seed)            // at least 32 unpredictable bytes, from wherever they come
//	n, err := f.Read(buf)     // ErrNotSeeded until there was a seed
//
// [Fortuna.AddEvent] feeds the 32 pools with what noise sources deliver, and
// the pools reseed the generator by themselves. [Generator] is the bare
// generator with MirageOS's schedule, for those who want its exact output.
//
// The design is that of Ferguson, Schneier and Kohno, Cryptography Engineering
// (2010), chapter 9, with the two deviations that MirageOS has as well: the
// counter is big-endian, which makes the generator plain AES-256-CTR and leaves
// the work to the standard library's assembly, and SHAd-256 is
// SHA-256(SHA-256(m)) without a leading block of zeros. The book's pseudocode
// stands above the code that does each step.
//
// The package keeps no file, opens no device, and imports neither os nor net
// nor syscall. A seed that survives a restart is its caller's affair.
//
// # Secrets in memory
//
// What this package holds (keys, counters, buffered output, pool digests) is
// overwritten once it was handed out or replaced, and so are the block buffers
// of the hashes and the stack that they used. Expanded AES keys, inside the
// standard library's cipher.Block and cipher.Stream values, cannot be: they
// stay on the heap until it is used for something else. Built with
// GOEXPERIMENT=runtimesecret, the steps that touch keys run inside
// [runtime/secret.Do], and the runtime erases those as well.
package fortuna
