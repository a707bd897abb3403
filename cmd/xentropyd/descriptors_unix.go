//go:build unix

package main

import "syscall"

// maxDescriptors is how many descriptors this process may have. Go has raised
// the soft limit to the hard one by now (os, package documentation of
// syscall.Setrlimit).
func maxDescriptors() (n uint64, known bool) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0, false
	}
	return uint64(l.Cur), true
}
