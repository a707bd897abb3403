package sourcetest

// BareRDRAND executes RDRAND n times, and drops what it gives: what there is at
// most, to measure the source against. The CPU must have the instruction.
//
//go:noescape
func BareRDRAND(n int)

// BareRDSEED is BareRDRAND for RDSEED; calls that give no data count too.
//
//go:noescape
func BareRDSEED(n int)
