package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The handshake is one message each way over a SOCK_SEQPACKET Unix socket;
// integers are little-endian, offsets and sizes bytes.
//
// The guest's offer has 16 bytes and exactly three descriptors (SCM_RIGHTS):
// the memfd, the eventfd that the guest writes, the eventfd that the host
// writes. The memfd holds the shared page, then the left ring's pages, then
// the right ring's; it is sealed against shrinking and growing, and has no
// byte more than the orders in its page say. The grant list of the page names
// its pages by their number, from 1.
//
//	0  magic "vchanmfd"
//	8  u16 version, 1
//	10 u16 number of descriptors, 3
//	12 u32 zero
//
// The host's answer has 16 bytes and up to 240 more:
//
//	0  magic "vchanmfd"
//	8  u16 version, 1
//	10 u16 status: 0 accepted, 1 refused, 2 busy, try again later
//	12 u16 length of the text
//	14 u16 zero
//	16 text: why, in UTF-8
//
// After an accepting answer nothing is sent any more, and the socket stays open.
const (
	magic     = "vchanmfd"
	version   = 1
	headSize  = 16
	textLimit = 240
	offerFDs  = 3
)

// Values of an answer's status.
const (
	statusAccepted = 0
	statusRefused  = 1
	statusBusy     = 2
)

var errMessage = errors.New("not a message of the local vchan handshake")

func messageError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMessage, fmt.Sprintf(format, args...))
}

func head(b []byte) ([]byte, error) {
	if len(b) < headSize {
		return nil, messageError("%d bytes, the head alone has %d", len(b), headSize)
	}
	if string(b[:8]) != magic {
		return nil, messageError("wrong magic")
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != version {
		return nil, messageError("version %d, this side speaks %d", v, version)
	}
	return b[10:], nil
}

func appendHead(b []byte) []byte {
	b = append(b, magic...)
	return binary.LittleEndian.AppendUint16(b, version)
}

func encodeOffer() []byte {
	b := binary.LittleEndian.AppendUint16(appendHead(nil), offerFDs)
	return binary.LittleEndian.AppendUint32(b, 0)
}

// checkOffer says what is wrong with a guest's message.
func checkOffer(b []byte) error {
	rest, err := head(b)
	if err != nil {
		return err
	}
	if len(b) != headSize {
		return messageError("an offer of %d bytes, must have %d", len(b), headSize)
	}
	if n := binary.LittleEndian.Uint16(rest); n != offerFDs {
		return messageError("an offer of %d descriptors, must be %d", n, offerFDs)
	}
	if binary.LittleEndian.Uint32(rest[2:]) != 0 {
		return messageError("reserved bytes are not zero")
	}
	return nil
}

func encodeAnswer(status uint16, text string) []byte {
	text = clip(text)
	b := binary.LittleEndian.AppendUint16(appendHead(nil), status)
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

// decodeAnswer gives the host's verdict: nil, or a *RefusedError.
func decodeAnswer(b []byte) error {
	rest, err := head(b)
	if err != nil {
		return err
	}
	status := binary.LittleEndian.Uint16(rest)
	text := b[headSize:]
	if n := int(binary.LittleEndian.Uint16(rest[2:])); n != len(text) || n > textLimit {
		return messageError("a text of %d bytes where %d are said", len(text), n)
	}
	switch status {
	case statusAccepted:
		return nil
	case statusRefused, statusBusy:
		return &RefusedError{Busy: status == statusBusy, Reason: printable(text)}
	}
	return messageError("unknown status %d", status)
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
