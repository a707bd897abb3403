package protocol

import (
	"encoding/binary"
	"io"
)

// Decoder cuts a byte stream into frames. It keeps a frame that arrived in
// part, so that a reader with deadlines can call [Decoder.Next] again after a
// time-out. It reads no further than it has room for, one frame at a time being
// all that it holds. Not safe for concurrent use.
type Decoder struct {
	r    io.Reader
	buf  []byte
	n    int // bytes of buf that hold data
	used int // bytes of buf that the last frame took, wiped by the next call
	max  int // longest payload
}

// NewHostDecoder returns a decoder for the frames that a guest sends. It holds
// under 400 bytes.
func NewHostDecoder(r io.Reader) *Decoder { return newDecoder(r, MaxGuestPayload) }

// NewGuestDecoder returns a decoder for the frames that a host sends.
func NewGuestDecoder(r io.Reader) *Decoder { return newDecoder(r, MaxHostPayload) }

func newDecoder(r io.Reader, limit int) *Decoder {
	return &Decoder{r: r, buf: make([]byte, HeaderSize+limit), max: limit}
}

// Preload puts bytes that were already read from the stream (to [Peek] at) in
// front of it. It must be called before Next and takes no more than fit one
// frame.
func (d *Decoder) Preload(b []byte) { d.n += copy(d.buf[d.n:], b) }

// Next returns the next frame. An error of the reader is returned as it is,
// with what had arrived kept for the next call; io.EOF within a frame becomes
// io.ErrUnexpectedEOF. A frame longer than its direction allows is an [*Error]
// with [ErrTooLong], after which the stream is of no use.
func (d *Decoder) Next() (Frame, error) {
	copy(d.buf, d.buf[d.used:d.n])
	clear(d.buf[d.n-d.used : d.n])
	d.n -= d.used
	d.used = 0
	for {
		if d.n >= HeaderSize {
			t, length := Type(d.buf[0]), int(binary.BigEndian.Uint16(d.buf[2:]))
			switch {
			case d.buf[1] != 0:
				return Frame{}, fail(t, ErrMalformed, "reserved header byte is %#x", d.buf[1])
			case length > d.max:
				return Frame{}, fail(t, ErrTooLong, "%d bytes announced, %d allowed", length, d.max)
			case d.n >= HeaderSize+length:
				d.used = HeaderSize + length
				raw := d.buf[:d.used:d.used]
				return Frame{Type: t, Payload: raw[HeaderSize:], raw: raw}, nil
			}
		}
		n, err := d.r.Read(d.buf[d.n:])
		d.n += n
		if n == 0 && err != nil {
			if err == io.EOF && d.n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return Frame{}, err
		}
	}
}

// Wipe clears what the decoder holds.
func (d *Decoder) Wipe() {
	clear(d.buf)
	d.n, d.used = 0, 0
}
