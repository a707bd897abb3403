//go:build !goexperiment.runtimesecret

package scrub

// Do runs f, which handles secrets in its own frame and up to Depth bytes
// below, and overwrites that part of the stack. What f puts on the heap is f's
// to wipe.
//
// It is overwritten before as well, so that f finds a stack that is large
// enough: one that grows is copied, and the old one let go as it is.
func Do(f func()) {
	Stack()
	f()
	Stack()
}
