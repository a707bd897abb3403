//go:build !amd64

package source

import "time"

const counterName = "monotonic clock"

var counterBase = time.Now()

// counter reads the monotonic clock in nanoseconds: the best that there is
// without an instruction of the architecture. How coarse it is shows in
// [Jitter], which is absent on one that does not move.
func counter() uint64 { return uint64(time.Since(counterBase)) }
