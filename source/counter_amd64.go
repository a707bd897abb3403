package source

const counterName = "TSC"

// counter reads the time stamp counter, raw: LFENCE, RDTSC, LFENCE, so that
// neither the work before it nor the work after it overlaps the reading (Intel
// SDM volume 2B, RDTSC). RDTSCP would save a fence, but some virtual machines
// cannot run it.
//
//go:noescape
func counter() uint64
