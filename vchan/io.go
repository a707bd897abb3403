package vchan

import (
	"io"
)

// chunk is how many bytes move before the index does: with large writes the
// peer works on one chunk while we work on the next.
const chunk = 16 << 10

func (c *Conn) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		seq := c.wait.seq.Load()
		if err := c.ready(&c.rdeadline); err != nil {
			return 0, err
		}
		// Before the look at the ring: what a peer wrote before it went
		// is there when we see that it is gone.
		gone := c.peerGone()
		if n, err := c.take(p); n > 0 || err != nil {
			return n, err
		}
		if gone {
			return 0, io.EOF
		}
		if c.rspin.spin(c.ring.Readable) {
			continue
		}
		if n, err := c.ring.AskData(); err != nil {
			return 0, c.failed(err)
		} else if n > 0 {
			continue
		}
		c.block(seq, reading)
	}
}

// take empties the ring into p, as far as it goes.
func (c *Conn) take(p []byte) (total int, err error) {
	for total < len(p) {
		part := p[total:min(total+chunk, len(p))]
		n, told, err := c.ring.Read(part)
		total += n
		if err != nil {
			return total, c.failed(err)
		}
		if told {
			if err := c.notify(); err != nil {
				return total, err
			}
		}
		if n < len(part) {
			break
		}
	}
	return total, nil
}

func (c *Conn) write(p []byte) (total int, err error) {
	for total < len(p) {
		seq := c.wait.seq.Load()
		if err := c.ready(&c.wdeadline); err != nil {
			return total, err
		}
		if c.peerGone() {
			return total, ErrPeerGone
		}
		n, told, err := c.ring.Write(p[total:min(total+chunk, len(p))])
		total += n
		if err != nil {
			return total, c.failed(err)
		}
		if told {
			if err := c.notify(); err != nil {
				return total, err
			}
		}
		if n > 0 || c.wspin.spin(c.ring.Writable) {
			continue
		}
		if n, err := c.ring.AskSpace(); err != nil {
			return total, c.failed(err)
		} else if n > 0 {
			continue
		}
		c.block(seq, writing)
	}
	return total, nil
}
