//go:build !unix

package main

import "os"

// hangup is a signal that never comes: an empty list would mean all signals.
var hangup = []os.Signal{never{}}

type never struct{}

func (never) Signal()        {}
func (never) String() string { return "never" }
