package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The host answers a connection, to which the guest has said nothing, with one
// message over a stream socket; integers are little-endian, offsets and sizes
// bytes:
//
//	0  magic "vchanmfd"
//	8  u16 version, 3
//	10 u16 status: 0 accepted, 1 refused, 2 busy, try again later
//	12 u16 length of the text, up to 240
//	14 u16 zero
//	16 text: why, in UTF-8
//
// An accepting answer has no text and brings one descriptor (SCM_RIGHTS, with
// its first byte): a memfd of one page, for both rings, sealed against
// shrinking and growing. It has no memory yet.
//
// The guest maps it, writes a byte of it, so that the memory is its own, adds
// the seals F_SEAL_FUTURE_WRITE and F_SEAL_SEAL (where the kernel knows them,
// Linux 5.1), and then sends its first byte. The host does not touch the page
// before all that is so. Then it makes the vchan's server of it, and sends its
// first byte: the guest does not look at the page before.
//
// After that each byte, either way, is an event, whatever its value: it says
// that the peer should look at the page. Who cannot send one because the peer
// has not read the earlier ones need not send it.
const (
	magic     = "vchanmfd"
	version   = 3
	headSize  = 16
	textLimit = 240
)

// Values of an answer's status.
const (
	statusAccepted = 0
	statusRefused  = 1
	statusBusy     = 2
)

var errMessage = errors.New("not the answer of a local vchan's host")

func messageError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMessage, fmt.Sprintf(format, args...))
}

func encodeAnswer(status uint16, text string) []byte {
	text = clip(text)
	b := append(make([]byte, 0, headSize+len(text)), magic...)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, status)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	b = binary.LittleEndian.AppendUint16(b, 0)
	return append(b, text...)
}

// clip cuts a text to what fits, between characters.
func clip(text string) string {
	for len(text) > textLimit {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// decodeHead takes the first headSize bytes of an answer: its status, and how
// many bytes of text follow.
func decodeHead(b []byte) (status uint16, text int, err error) {
	if len(b) != headSize || string(b[:8]) != magic {
		return 0, 0, messageError("wrong magic")
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != version {
		return 0, 0, messageError("version %d, this side speaks %d", v, version)
	}
	status, text = binary.LittleEndian.Uint16(b[10:]), int(binary.LittleEndian.Uint16(b[12:]))
	switch {
	case status > statusBusy:
		return 0, 0, messageError("unknown status %d", status)
	case text > textLimit, status == statusAccepted && text > 0:
		return 0, 0, messageError("a text of %d bytes", text)
	case b[14] != 0 || b[15] != 0:
		return 0, 0, messageError("reserved bytes are not zero")
	}
	return status, text, nil
}

// refusal is what the host said.
func refusal(status uint16, text []byte) error {
	return &RefusedError{Busy: status == statusBusy, Reason: printable(text)}
}

// printable keeps a peer's words from playing with a terminal.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, string(b))
}
