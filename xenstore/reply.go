package xenstore

import (
	"strconv"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// checkReply says what is wrong with the payload of a reply, or nothing. What
// has passed needs no second look: the functions below rely on it.
func checkReply(op wire.Op, payload []byte) string {
	switch op {
	case wire.Read, wire.Control:
		return "" // any bytes
	}
	list, ok := wire.Strings(payload)
	if !ok {
		return "payload does not end in a NUL"
	}
	switch op {
	case wire.Directory:
		for _, s := range list {
			if s == "" {
				return "empty name in the list of children"
			}
		}
	case wire.DirectoryPart:
		if len(list) == 0 {
			return "no generation count"
		}
		if _, err := strconv.ParseUint(list[0], 10, 64); err != nil {
			return "generation count is not a number"
		}
		if len(list) < 2 {
			return "neither a child nor the end of the list"
		}
		for _, s := range list[1 : len(list)-1] {
			if s == "" {
				return "empty name inside the list of children"
			}
		}
	case wire.GetPerms:
		if len(list) == 0 {
			return "no permission"
		}
		if _, err := ParsePerms(list); err != nil {
			return err.Error()
		}
	case wire.TransactionStart:
		if len(list) != 1 {
			return "payload is not one transaction id"
		}
		if id, err := strconv.ParseUint(list[0], 10, 32); err != nil || id == 0 {
			return "transaction id is not a number from 1 to 2^32-1"
		}
	case wire.GetDomainPath:
		if len(list) != 1 || list[0] == "" {
			return "payload is not one path"
		}
	case wire.IsDomainIntroduced:
		if len(list) != 1 || list[0] != "T" && list[0] != "F" {
			return "payload is neither T nor F"
		}
	default:
		if len(list) != 1 || list[0] != "OK" {
			return "payload is not OK"
		}
	}
	return ""
}

// txID reads a checked reply to TRANSACTION_START.
func txID(payload []byte) uint32 {
	id, _ := strconv.ParseUint(string(payload[:len(payload)-1]), 10, 32)
	return uint32(id)
}

// part is a checked reply to DIRECTORY_PART.
type part struct {
	generation string
	names      []string
	bytes      int // length of names in the daemon's list
	last       bool
}

func parsePart(payload []byte) part {
	list, _ := wire.Strings(payload)
	p := part{generation: list[0], names: list[1:]}
	// An empty string ends the whole list.
	if n := len(p.names); p.names[n-1] == "" {
		p.names, p.last = p.names[:n-1], true
	}
	for _, s := range p.names {
		p.bytes += len(s) + 1
	}
	return p
}
