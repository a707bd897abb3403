//go:build !linux

package proc

import "errors"

// Start is not known here.
func Start(int) (uint64, error) {
	return 0, errors.New("the start of a process is only known on Linux")
}
