// Package wire is the framing of the xenstore protocol: Header.Put and Read are
// all that a speaker needs.
//
// Source: xen/io/xs_wire.h and docs/misc/xenstore.txt of Xen 4.17. A message is
// a header of four 32-bit words in the machine's own byte order and at most
// MaxPayload bytes.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Limits of xs_wire.h, in bytes.
const (
	HeaderSize = 16   // struct xsd_sockmsg: type, req_id, tx_id, len
	MaxPayload = 4096 // XENSTORE_PAYLOAD_MAX
	MaxAbsPath = 3072 // XENSTORE_ABS_PATH_MAX
	MaxRelPath = 2048 // XENSTORE_REL_PATH_MAX
)

// Op is the type word of a message (enum xsd_sockmsg_type).
type Op uint32

// The types of xs_wire.h; 20 was RESTRICT and is no longer in use.
const (
	Control            Op = 0
	Directory          Op = 1
	Read               Op = 2
	GetPerms           Op = 3
	Watch              Op = 4
	Unwatch            Op = 5
	TransactionStart   Op = 6
	TransactionEnd     Op = 7
	Introduce          Op = 8
	Release            Op = 9
	GetDomainPath      Op = 10
	Write              Op = 11
	Mkdir              Op = 12
	Rm                 Op = 13
	SetPerms           Op = 14
	WatchEvent         Op = 15
	Error              Op = 16
	IsDomainIntroduced Op = 17
	Resume             Op = 18
	SetTarget          Op = 19
	ResetWatches       Op = 21
	DirectoryPart      Op = 22
)

var opNames = map[Op]string{
	Control: "CONTROL", Directory: "DIRECTORY", Read: "READ", GetPerms: "GET_PERMS",
	Watch: "WATCH", Unwatch: "UNWATCH", TransactionStart: "TRANSACTION_START",
	TransactionEnd: "TRANSACTION_END", Introduce: "INTRODUCE", Release: "RELEASE",
	GetDomainPath: "GET_DOMAIN_PATH", Write: "WRITE", Mkdir: "MKDIR", Rm: "RM",
	SetPerms: "SET_PERMS", WatchEvent: "WATCH_EVENT", Error: "ERROR",
	IsDomainIntroduced: "IS_DOMAIN_INTRODUCED", Resume: "RESUME", SetTarget: "SET_TARGET",
	ResetWatches: "RESET_WATCHES", DirectoryPart: "DIRECTORY_PART",
}

// String gives the protocol's own name of the type.
func (o Op) String() string {
	if s, ok := opNames[o]; ok {
		return s
	}
	return fmt.Sprintf("type %d", uint32(o))
}

// Header is struct xsd_sockmsg.
type Header struct {
	Op  Op
	Req uint32
	Tx  uint32
	Len uint32 // bytes of payload that follow
}

// Put writes the header to the first HeaderSize bytes of b.
func (h Header) Put(b []byte) {
	binary.NativeEndian.PutUint32(b[0:], uint32(h.Op))
	binary.NativeEndian.PutUint32(b[4:], h.Req)
	binary.NativeEndian.PutUint32(b[8:], h.Tx)
	binary.NativeEndian.PutUint32(b[12:], h.Len)
}

// Parse reads a header from the first HeaderSize bytes of b.
func Parse(b []byte) Header {
	return Header{
		Op:  Op(binary.NativeEndian.Uint32(b[0:])),
		Req: binary.NativeEndian.Uint32(b[4:]),
		Tx:  binary.NativeEndian.Uint32(b[8:]),
		Len: binary.NativeEndian.Uint32(b[12:]),
	}
}

// Message is a whole message ready to be written in one piece.
func Message(op Op, req, tx uint32, payload []byte) []byte {
	b := make([]byte, HeaderSize+len(payload))
	Header{Op: op, Req: req, Tx: tx, Len: uint32(len(payload))}.Put(b)
	copy(b[HeaderSize:], payload)
	return b
}

// LengthError says that a header announces more than is allowed.
type LengthError struct {
	Header Header
	Limit  int // bytes
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("%v with request id %d announces %d bytes of payload, the limit is %d",
		e.Header.Op, e.Header.Req, e.Header.Len, e.Limit)
}

// Next reads one message. The length is checked before anything is allocated
// for it: limit gives how many bytes a message may have by its header, nil
// stands for MaxPayload. At a clean end between two messages the error is
// io.EOF, inside one io.ErrUnexpectedEOF.
func Next(r io.Reader, limit func(Header) int) (Header, []byte, error) {
	var b [HeaderSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return Header{}, nil, err
	}
	h := Parse(b[:])
	bound := MaxPayload
	if limit != nil {
		bound = limit(h)
	}
	if uint64(h.Len) > uint64(bound) {
		return h, nil, &LengthError{h, bound}
	}
	// What is allocated stays within a page of what has come.
	var payload []byte
	for len(payload) < int(h.Len) {
		n := min(int(h.Len)-len(payload), MaxPayload)
		start := len(payload)
		payload = append(payload, make([]byte, n)...)
		if _, err := io.ReadFull(r, payload[start:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return h, nil, err
		}
	}
	return h, payload, nil
}

// Strings splits a list of NUL-terminated strings; ok is false when the last
// one is not terminated. An empty payload is an empty list.
func Strings(p []byte) (list []string, ok bool) {
	for start, i := 0, 0; i < len(p); i++ {
		if p[i] == 0 {
			list = append(list, string(p[start:i]))
			start = i + 1
		}
	}
	return list, len(p) == 0 || p[len(p)-1] == 0
}

// Join is the payload of NUL-terminated strings.
func Join(list ...string) []byte {
	n := 0
	for _, s := range list {
		n += len(s) + 1
	}
	p := make([]byte, 0, n)
	for _, s := range list {
		p = append(append(p, s...), 0)
	}
	return p
}
