package protocol

import "golang.org/x/crypto/cryptobyte"

// CloseReason says why a session ends.
type CloseReason uint8

// Reasons of a close.
const (
	CloseDone      CloseReason = 1 // the sender goes away in good order
	CloseProtocol  CloseReason = 2 // the receiver broke the protocol
	CloseVersion   CloseReason = 3 // no common version
	CloseLimit     CloseReason = 4 // too many sessions or handshakes of this peer
	CloseTimeout   CloseReason = 5 // the receiver did not answer in time
	CloseForbidden CloseReason = 6 // the host does not serve this guest
)

func (r CloseReason) String() string {
	switch r {
	case CloseDone:
		return "done"
	case CloseProtocol:
		return "protocol violation"
	case CloseVersion:
		return "no common version"
	case CloseLimit:
		return "limit reached"
	case CloseTimeout:
		return "no answer in time"
	case CloseForbidden:
		return "not served"
	}
	return "unknown reason"
}

// Close ends the session.
type Close struct {
	Reason CloseReason
	Text   string // printable UTF-8 of at most MaxCloseText bytes
}

// Type implements [Message].
func (Close) Type() Type { return TypeClose }

func (m Close) marshal(b *cryptobyte.Builder) {
	b.AddUint8(uint8(m.Reason))
	addText(b, m.Text, MaxCloseText)
}

func parseClose(p []byte) (m Close, err error) {
	s := cryptobyte.String(p)
	var why cryptobyte.String
	read := s.ReadUint8((*uint8)(&m.Reason)) && s.ReadUint8LengthPrefixed(&why)
	if err := whole(TypeClose, s, read); err != nil {
		return m, err
	}
	if m.Text, err = text(TypeClose, why, MaxCloseText); err != nil {
		return m, err
	}
	if m.Reason < CloseDone || m.Reason > CloseForbidden {
		return m, fail(TypeClose, ErrMalformed, "reason %d", m.Reason)
	}
	return m, nil
}
