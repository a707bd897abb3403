//go:build !unix

package main

// maxDescriptors is not known here.
func maxDescriptors() (n uint64, known bool) { return 0, false }
