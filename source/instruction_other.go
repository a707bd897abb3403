//go:build !amd64

package source

import "runtime"

const instructionTries = 10

func openRDRAND() (Source, error) {
	return nil, NotPresent(NameRDRAND, "an instruction of x86-64, this is "+runtime.GOARCH, "nothing to do")
}

func openRDSEED() (Source, error) {
	return nil, NotPresent(NameRDSEED, "an instruction of x86-64, this is "+runtime.GOARCH, "nothing to do")
}
