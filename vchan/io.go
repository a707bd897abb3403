package vchan

import (
	"fmt"
	"io"
)

// chunk is how many bytes move before the index does: with large writes the
// peer works on one chunk while we work on the next.
const chunk = 16 << 10

// errTakenBack is a peer that moved its index back after we had seen it: it
// could have us spin for ever.
var errTakenBack = fmt.Errorf("%w: it took back what it had given", ErrViolation)

func (c *Conn) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	seen := false // that there is something to be taken, which nobody but us does
	for {
		seq := c.wait.seq.Load()
		if err := c.ready(&c.rdeadline); err != nil {
			return 0, err
		}
		here, err := c.open()
		if err != nil {
			return 0, err
		}
		// Before the look at the ring: what a peer wrote before it went
		// is there when we see that it is gone.
		gone := c.peerGone()
		if here {
			if n, err := c.take(p); n > 0 || err != nil {
				return n, err
			}
		}
		if gone {
			return 0, io.EOF
		}
		if !here {
			c.block(seq, reading)
			continue
		}
		if seen {
			return 0, c.failed(errTakenBack)
		}
		if seen = c.rspin.spin(c.ring.Readable); seen {
			continue
		}
		n, err := c.ring.AskData()
		if err != nil {
			return 0, c.failed(err)
		}
		if seen = n > 0; seen {
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
	seen := false // that there is room, which nobody but us takes
	for total < len(p) {
		seq := c.wait.seq.Load()
		if err := c.ready(&c.wdeadline); err != nil {
			return total, err
		}
		here, err := c.open()
		if err != nil {
			return total, err
		}
		if c.peerGone() {
			return total, ErrPeerGone
		}
		if !here {
			c.block(seq, writing)
			continue
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
		if n > 0 {
			seen = false
			continue
		}
		if seen {
			return total, c.failed(errTakenBack)
		}
		if seen = c.wspin.spin(c.ring.Writable); seen {
			continue
		}
		n, err = c.ring.AskSpace()
		if err != nil {
			return total, c.failed(err)
		}
		if seen = n > 0; seen {
			continue
		}
		c.block(seq, writing)
	}
	return total, nil
}
