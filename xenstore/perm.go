package xenstore

import (
	"fmt"
	"strconv"
)

// Access is what a permission grants.
type Access byte

// The letters of docs/misc/xenstore.txt.
const (
	AccessNone  Access = 'n'
	AccessRead  Access = 'r'
	AccessWrite Access = 'w'
	AccessBoth  Access = 'b'
)

// CanRead reports whether the access includes reading.
func (a Access) CanRead() bool { return a == AccessRead || a == AccessBoth }

// CanWrite reports whether the access includes writing.
func (a Access) CanWrite() bool { return a == AccessWrite || a == AccessBoth }

// String names the access in words.
func (a Access) String() string {
	switch a {
	case AccessNone:
		return "none"
	case AccessRead:
		return "read"
	case AccessWrite:
		return "write"
	case AccessBoth:
		return "both"
	}
	return fmt.Sprintf("access %q", byte(a))
}

// Perm is one entry of a node's permission list. In the first entry of a list
// DomID owns the node (and may do everything) and Access is what all domains
// not listed may do; each further entry is for its domain alone.
type Perm struct {
	DomID  uint16
	Access Access
}

// String is the wire form: a letter and the domid in decimal, such as r7.
func (p Perm) String() string {
	return string(rune(p.Access)) + strconv.Itoa(int(p.DomID))
}

// ParsePerm reads the wire form.
func ParsePerm(s string) (Perm, error) {
	if len(s) < 2 {
		return Perm{}, fmt.Errorf("xenstore permission %q: want a letter of nrwb and a domid: %w", s, ErrInvalid)
	}
	a := Access(s[0])
	switch a {
	case AccessNone, AccessRead, AccessWrite, AccessBoth:
	default:
		return Perm{}, fmt.Errorf("xenstore permission %q: letter is not one of nrwb: %w", s, ErrInvalid)
	}
	id, err := strconv.ParseUint(s[1:], 10, 16)
	if err != nil {
		return Perm{}, fmt.Errorf("xenstore permission %q: domid is not a number from 0 to 65535: %w", s, ErrInvalid)
	}
	return Perm{DomID: uint16(id), Access: a}, nil
}

// ParsePerms reads a whole list in wire form.
func ParsePerms(list []string) ([]Perm, error) {
	out := make([]Perm, 0, len(list))
	for _, s := range list {
		p, err := ParsePerm(s)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
