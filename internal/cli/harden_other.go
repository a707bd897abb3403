//go:build !linux

package cli

// Harden keeps entropy out of core dumps and debuggers on Linux. Here it does
// nothing.
func Harden() error { return nil }

// Soften undoes what Harden did. Here that is nothing.
func Soften() error { return nil }
