//go:build unix

package main

import (
	"os"
	"syscall"
)

// hangup is what a terminal sends that is closed.
var hangup = []os.Signal{syscall.SIGHUP}
