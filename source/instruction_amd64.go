package source

import "golang.org/x/sys/cpu"

// instructionTries is how often one word is tried before a call gives up: Intel
// DRNG Software Implementation Guide, 5.2.1, says 10 for RDRAND, whose failure
// ten times in a row means that it is broken. For RDSEED, 5.3.1, no number of
// tries is enough; the calls are tried again by Sample.
const instructionTries = 10

// rdrandFill and rdseedFill put random words of 8 bytes into dst until it is
// full or the instruction failed instructionTries times in a row (carry flag
// clear), and return how many words they put.
//
//go:noescape
func rdrandFill(dst []byte) int

//go:noescape
func rdseedFill(dst []byte) int

func openRDRAND() (Source, error) {
	if !cpu.X86.HasRDRAND {
		return nil, NotPresent(NameRDRAND, "CPUID.1:ECX bit 30 is clear", "a virtual machine may need CPU type host")
	}
	return newInstruction(rdrandInfo, rdrandChunk, 0, rdrandFill), nil
}

func openRDSEED() (Source, error) {
	if !cpu.X86.HasRDSEED {
		return nil, NotPresent(NameRDSEED, "CPUID.7:EBX bit 18 is clear", "a virtual machine may need CPU type host")
	}
	return newInstruction(rdseedInfo, rdseedChunk, rdseedWaits, rdseedFill), nil
}
