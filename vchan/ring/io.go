package ring

// Buffered is the number of bytes that wait to be read.
func (r *Ring) Buffered() (int, error) {
	for {
		own := r.rx.own.Load()
		prod := r.rx.peer.Load()
		// A Read going on beside us must not look like corruption: the
		// pair counts only if our index stood still around the load.
		if r.rx.own.Load() == own {
			return r.filled(prod, own)
		}
	}
}

// Space is the number of bytes that can be written.
func (r *Ring) Space() (int, error) {
	for {
		own := r.tx.own.Load()
		cons := r.tx.peer.Load()
		if r.tx.own.Load() == own {
			return r.room(cons, own)
		}
	}
}

// filled checks the one loaded value of the peer's index against ours: how
// much there is to read.
func (r *Ring) filled(prod, own uint32) (int, error) {
	if err := r.Err(); err != nil {
		return 0, err
	}
	n := prod - own
	if n > uint32(len(r.rx.buf)) {
		return 0, r.fail("prod", prod, own, len(r.rx.buf))
	}
	return int(n), nil
}

// room is the same for the half that we write.
func (r *Ring) room(cons, own uint32) (int, error) {
	if err := r.Err(); err != nil {
		return 0, err
	}
	n := own - cons
	if n > uint32(len(r.tx.buf)) {
		return 0, r.fail("cons", cons, own, len(r.tx.buf))
	}
	return len(r.tx.buf) - int(n), nil
}

// ReadSize is the size of the ring that we read from, bytes.
func (r *Ring) ReadSize() int { return len(r.rx.buf) }

// WriteSize is the size of the ring that we write to, bytes.
func (r *Ring) WriteSize() int { return len(r.tx.buf) }

// Read takes what is there, up to len(p) bytes, wipes it from the ring and
// gives the space back. With nothing there it returns 0. When notify is true
// the peer asked to be told: send it an event.
func (r *Ring) Read(p []byte) (n int, notify bool, err error) {
	own := r.rx.own.Load()
	avail, err := r.filled(r.rx.peer.Load(), own)
	if err != nil {
		return 0, false, err
	}
	n = min(avail, len(p))
	if n == 0 {
		return 0, false, nil
	}
	at := int(own) & (len(r.rx.buf) - 1)
	first := r.rx.buf[at:min(at+n, len(r.rx.buf))]
	rest := r.rx.buf[:n-len(first)]
	copy(p, first)
	copy(p[len(first):], rest)
	clear(first)
	clear(rest)
	r.rx.own.Store(own + uint32(n))
	// sequentially consistent: the wiping is done before, the look at the
	// notify bit comes after
	r.rx.pub.Store(own + uint32(n))
	return n, r.takeNotify(notifyRead), nil
}

// Write puts in what there is room for, up to len(p) bytes; with a full ring it
// returns 0. When notify is true the peer asked to be told: send it an event.
func (r *Ring) Write(p []byte) (n int, notify bool, err error) {
	own := r.tx.own.Load()
	space, err := r.room(r.tx.peer.Load(), own)
	if err != nil {
		return 0, false, err
	}
	n = min(space, len(p))
	if n == 0 {
		return 0, false, nil
	}
	at := int(own) & (len(r.tx.buf) - 1)
	first := copy(r.tx.buf[at:], p[:n])
	copy(r.tx.buf, p[first:n])
	r.tx.own.Store(own + uint32(n))
	r.tx.pub.Store(own + uint32(n))
	return n, r.takeNotify(notifyWrite), nil
}

// Readable is a cheap hint for a spinning reader: whether the peer's index
// moved past ours. It proves nothing; Read decides.
func (r *Ring) Readable() bool { return r.rx.peer.Load() != r.rx.own.Load() }

// Writable is the same hint for a writer that met a full ring.
func (r *Ring) Writable() bool {
	return r.tx.own.Load()-r.tx.peer.Load() != uint32(len(r.tx.buf))
}

// Progress gives the two indices that the peer writes as they are, unchecked:
// good only for seeing whether anything changed.
func (r *Ring) Progress() uint64 {
	return uint64(r.rx.peer.Load())<<32 | uint64(r.tx.peer.Load())
}
