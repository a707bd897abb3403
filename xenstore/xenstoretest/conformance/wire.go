package conformance

import (
	"errors"
	"io"
	"strings"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// raw is a connection without the client.
type raw struct {
	s   *suite
	rwc io.ReadWriteCloser
}

func (s *suite) raw() *raw {
	s.Helper()
	s.need(s.target.Socket, "socket: the kernel's device judges some messages itself")
	rwc, err := s.target.Dial(s.ctx)
	s.must(err)
	s.Cleanup(func() { _ = rwc.Close() })
	return &raw{s, rwc}
}

func (r *raw) send(op wire.Op, req, tx uint32, payload string) {
	r.s.Helper()
	_, err := r.rwc.Write(wire.Message(op, req, tx, []byte(payload)))
	r.s.must(err)
}

func (r *raw) next() (wire.Header, string) {
	r.s.Helper()
	h, p, err := wire.Next(r.rwc, nil)
	r.s.must(err)
	return h, string(p)
}

// ask sends and gives the next message that is no event.
func (r *raw) ask(op wire.Op, req, tx uint32, payload string) (wire.Header, string) {
	r.s.Helper()
	r.send(op, req, tx, payload)
	for {
		if h, p := r.next(); h.Op != wire.WatchEvent {
			if h.Req != req || h.Tx != tx {
				r.s.Errorf("%v: reply has ids %d and %d, request had %d and %d", op, h.Req, h.Tx, req, tx)
			}
			return h, p
		}
	}
}

func (r *raw) want(op wire.Op, req, tx uint32, payload string, replies ...string) {
	r.s.Helper()
	h, p := r.ask(op, req, tx, payload)
	for _, w := range replies {
		if p == w && (h.Op == op || h.Op == wire.Error && strings.HasPrefix(w, "E")) {
			return
		}
	}
	r.s.Errorf("%v %q: reply %v %q, want %q", op, payload, h.Op, p, replies)
}

func wireErrors(s *suite) {
	r := s.raw()
	r.want(99, 1, 0, "x\x00", "ENOSYS\x00")
	r.want(20, 2, 0, "1\x00", "ENOSYS\x00")
	r.want(wire.Read, 3, 0, s.dir, "EINVAL\x00", "ENOENT\x00")         // no NUL: the C daemon says ENOENT
	r.want(wire.Read, 4, 0, s.dir+"\x00x", "EINVAL\x00", "ENOENT\x00") // something after it
	r.want(wire.Unwatch, 5, 0, s.dir+"\x00", "EINVAL\x00")             // no token
	r.want(wire.Watch, 6, 0, s.dir+"\x00", "EINVAL\x00")
	r.want(wire.SetPerms, 7, 0, s.dir+"\x00", "EINVAL\x00")
	r.want(wire.SetPerms, 8, 0, s.dir+"\x00x0\x00", "EINVAL\x00")
	r.want(wire.WatchEvent, 9, 0, "\x00", "ENOSYS\x00")
	r.want(wire.Read, 0xffffffff, 0, s.at("no")+"\x00", "ENOENT\x00")
	r.want(wire.Read, 0, 0, s.dir+"\x00", "")
}

// wirePipelined sends all requests before it reads a reply.
func wirePipelined(s *suite) {
	r := s.raw()
	const n = 20
	go func() {
		for i := range uint32(n) {
			_, _ = r.rwc.Write(wire.Message(wire.Read, 1000+i, 0, wire.Join(s.dir)))
		}
	}()
	seen := make(map[uint32]bool)
	for range n {
		h, _ := r.next()
		if h.Op != wire.Read || h.Req < 1000 || h.Req >= 1000+n || seen[h.Req] {
			s.Fatalf("reply %+v", h)
		}
		seen[h.Req] = true
	}
}

func wireWatch(s *suite) {
	r := s.raw()
	p := s.at("w")
	r.want(wire.Watch, 1, 0, p+"\x00my token\x00", "OK\x00")
	h, event := r.next()
	if h.Op != wire.WatchEvent || h.Req != 0 || h.Tx != 0 || event != p+"\x00my token\x00" {
		s.Fatalf("first event %+v %q", h, event)
	}
	r.want(wire.Watch, 2, 0, p+"\x00my token\x00", "EEXIST\x00")
	r.want(wire.Unwatch, 3, 0, p+"\x00other\x00", "ENOENT\x00")
	r.want(wire.Unwatch, 4, 0, p+"\x00my token\x00", "OK\x00")
	r.want(wire.Unwatch, 5, 0, p+"\x00my token\x00", "ENOENT\x00")
	r.want(wire.Watch, 6, 0, p+"\x00a\x00", "OK\x00")
	r.want(wire.ResetWatches, 7, 0, "\x00", "OK\x00")
	r.want(wire.Unwatch, 8, 0, p+"\x00a\x00", "ENOENT\x00")
}

func wireTransaction(s *suite) {
	r := s.raw()
	gone := []string{"ENOENT\x00", "EIO\x00"} // oxenstored says EIO
	r.want(wire.Read, 1, 777, s.dir+"\x00", gone...)
	r.want(wire.TransactionEnd, 2, 0, "T\x00", gone...)
	_, id := r.ask(wire.TransactionStart, 3, 0, "\x00")
	var tx uint32
	for _, c := range strings.TrimSuffix(id, "\x00") {
		tx = tx*10 + uint32(c-'0')
	}
	r.want(wire.TransactionStart, 4, tx, "\x00", "EBUSY\x00")
	r.want(wire.TransactionEnd, 5, tx, "X\x00", "EINVAL\x00")
	r.want(wire.TransactionEnd, 6, tx, "F\x00", "OK\x00")
	r.want(wire.TransactionEnd, 7, tx, "T\x00", gone...)
}

// wireOverlong: the daemon ends a connection, or at least never answers, when a
// length is over the limit. This is why the client checks before it sends.
func wireOverlong(s *suite) {
	r := s.raw()
	b := make([]byte, wire.HeaderSize)
	wire.Header{Op: wire.Read, Req: 1, Len: wire.MaxPayload + 1}.Put(b)
	_, err := r.rwc.Write(b)
	s.must(err)
	done := make(chan error, 1)
	go func() {
		_, _, err := wire.Next(r.rwc, nil)
		done <- err
	}()
	// A second connection is not touched. The C daemon keeps the first open and
	// answers nothing.
	s.wantValue(s.dir, "")
	_ = r.rwc.Close()
	if err := <-done; err == nil {
		s.Error("an over-long request was answered")
	} else if errors.Is(err, s.ctx.Err()) {
		s.Error(err)
	}
}
