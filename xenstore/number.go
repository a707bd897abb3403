package xenstore

import (
	"fmt"
	"strconv"
)

// NodeError is a node whose value cannot be what it should be. It blames who
// wrote it.
type NodeError struct {
	Path    string
	Value   string // as it was written, cut to 32 bytes
	Problem string
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("xenstore node %s holds %q, which %s", e.Path, e.Value, e.Problem)
}

// Hostile says that the writer broke the rules.
func (e *NodeError) Hostile() bool { return true }

// maxDigits is as many as a number of 32 bits has at most.
const maxDigits = 10

// ParseNumber reads a node's value as hostile input: decimal digits and nothing
// else, least to most. The error is a *[NodeError]; path is for it alone.
func ParseNumber(path, value string, least, most uint32) (uint32, error) {
	bad := func(problem string) (uint32, error) {
		return 0, &NodeError{Path: path, Value: value[:min(len(value), 32)], Problem: problem}
	}
	if value == "" || len(value) > maxDigits {
		return bad("is not a number of 1 to 10 digits")
	}
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return bad("is not a number of digits alone")
		}
	}
	n, err := strconv.ParseUint(value, 10, 64)
	switch {
	case err != nil || n > uint64(most):
		return bad(fmt.Sprintf("is over %d", most))
	case n < uint64(least):
		return bad(fmt.Sprintf("is under %d", least))
	}
	return uint32(n), nil
}

// Limits of what is named in nodes. References are 32 bits (grant_ref_t), and 0
// belongs to the console of each domain. Event channels go up to
// EVTCHN_FIFO_NR_CHANNELS (event_channel.h), exclusively, and 0 is none.
// Domains go up to DOMID_FIRST_RESERVED (xen.h), exclusively.
const (
	MaxGrantRef = 1<<32 - 1
	MaxPort     = 1<<17 - 1
	MaxDomID    = 0x7ff0 - 1
)
