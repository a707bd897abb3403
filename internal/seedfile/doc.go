// Package seedfile keeps a seed over restarts.
//
// Two functions matter, [File.Load] and [File.Store]:
//
//	f, err := seedfile.Open("/var/lib/xentropyd/seed")
//	seed, err := f.Load()      // fs.ErrNotExist the first time
//	generator.Reseed(seed)
//	clear(seed)
//	err = f.Update(generator)  // draws the next seed and stores it: before any output
//
// The order is what makes it safe (Cryptography Engineering, section 9.6): a
// seed is used once, and its successor is on the disk before the first byte of
// output leaves, so that a machine that loses power never starts twice from the
// same seed. Update again every Interval and at exit.
//
// A seed file adds to what other sources give. It cannot tell that its disk was
// cloned or restored.
//
// # The file
//
// 64 bytes, mode 0600, owned by the reader or by root, replaced by rename:
// whoever looks, at whatever moment the machine stops, finds the old seed or
// the new one and never a part. While a File is open it holds a lock on
// PATH.lock, which stays behind, and PATH.new is its own: one left by a crash
// is removed.
//
// What must not be used is refused with a *RefusedError. There are two kinds. A
// file that is too open, of another owner or all zero was a seed: the next
// Store replaces it. What is no regular file or of another length never was
// one, and PATH is perhaps not what was meant: Store refuses it too and leaves
// it alone. Owner and mode are checked on Unix alone.
package seedfile
