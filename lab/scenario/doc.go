// Package scenario is what the lab runs: All lists the scenarios, each a function that gets a machine that is up.
//
// A scenario steers from outside, with commands that run in dom0 and in guests; what must be fast, or needs /dev/xen, is a Go test that was
// compiled for inside (GoTest). It starts the guests that it needs; what it leaves behind is destroyed afterwards.
package scenario
