// Package lab has tests on real Xen, booted in QEMU, behind the build tag lab:
//
//	go test -tags lab ./lab -run TestSeeds/oxenstored -v
//
// A scenario steers from outside, with commands that run in dom0 and in guests;
// what must be fast, or needs /dev/xen, is a Go test that was compiled for
// inside (goTest). It starts the guests that it needs; what it leaves behind is
// destroyed afterwards. See README.md.
package lab
