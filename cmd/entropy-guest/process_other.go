//go:build !linux

package main

import "errors"

// processStart is not known here.
func processStart(int) (uint64, error) {
	return 0, errors.New("the start of a process is only known on Linux")
}
