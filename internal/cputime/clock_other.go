//go:build !linux

package cputime

import "time"

var begin = time.Now()

// Thread is wall time here.
func Thread() time.Duration { return time.Since(begin) }
