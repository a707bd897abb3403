//go:build !amd64

package sourcetest

// BareRDRAND does nothing: the instruction is x86-64's.
func BareRDRAND(int) {}

// BareRDSEED does nothing.
func BareRDSEED(int) {}
