package xenstore_test

import (
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/xentropyd/xentropyd/xenstore"
)

// record is one message in the machine's byte order.
func record(op, req, tx uint32, payload string) []byte {
	b := make([]byte, 16, 16+len(payload))
	for i, v := range []uint32{op, req, tx, uint32(len(payload))} {
		binary.NativeEndian.PutUint32(b[4*i:], v)
	}
	return append(b, payload...)
}

// FuzzClient feeds a client whatever a daemon might send, while it performs one
// request of each kind. Nothing may panic or hang, and a value that is given
// out must be within the protocol's bounds.
func FuzzClient(f *testing.F) {
	join := func(list ...[]byte) (b []byte) {
		for _, l := range list {
			b = append(b, l...)
		}
		return b
	}
	f.Add([]byte{})
	f.Add([]byte("sixteen bytes or more of nothing that makes sense"))
	f.Add(record(2, 1, 0, "value"))
	f.Add(record(16, 1, 0, "ENOENT\x00"))
	f.Add(record(16, 1, 0, "\xff"))
	f.Add(record(15, 0, 0, "/a\x001\x00"))
	f.Add(join(record(2, 1, 0, "v"), record(1, 2, 0, "a\x00b\x00"), record(3, 3, 0, "n0\x00r1\x00"),
		record(11, 4, 0, "OK\x00"), record(4, 5, 0, "OK\x00"), record(15, 0, 0, "/a\x001\x00"),
		record(6, 6, 0, "7\x00"), record(7, 7, 7, "OK\x00"), record(10, 8, 0, "/local/domain/1\x00"),
		record(17, 9, 0, "T\x00")))
	f.Add(join(record(16, 1, 0, "ENOENT\x00"), record(16, 2, 0, "E2BIG\x00"), record(22, 3, 0, "5\x00a\x00"),
		record(22, 4, 0, "5\x00b\x00\x00"), record(3, 5, 0, "x\x00")))
	f.Add(record(1, 2, 0, string(make([]byte, 5000))))
	long := record(2, 1, 0, "")
	binary.NativeEndian.PutUint32(long[12:], 0xffffffff)
	f.Add(long)
	f.Fuzz(func(t *testing.T, stream []byte) {
		ours, theirs := net.Pipe()
		go func() {
			// Requests are taken and ignored; the answers come all the same, in
			// step with them.
			buf := make([]byte, 4112)
			for {
				if _, err := ours.Read(buf); err != nil {
					return
				}
				// As far as the next message that is no event: a daemon answers
				// each request.
				n := 0
				for event := true; event && n < len(stream); {
					rest := stream[n:]
					if len(rest) < 16 {
						n = len(stream)
						break
					}
					event = binary.NativeEndian.Uint32(rest) == 15
					// Unlimited: what a reply to DIRECTORY may announce is more
					// than is there, and the end must follow.
					n += int(min(int64(len(rest)), 16+int64(binary.NativeEndian.Uint32(rest[12:]))))
				}
				if n == 0 {
					_ = ours.Close()
					return
				}
				if _, err := ours.Write(stream[:n]); err != nil {
					return
				}
				if stream = stream[n:]; len(stream) == 0 {
					_ = ours.Close()
					return
				}
			}
		}()
		c := xenstore.New(theirs)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		v, _ := c.Read(ctx, "/a")
		if len(v) > xenstore.MaxPayload {
			t.Errorf("value of %d bytes", len(v))
		}
		list, _ := c.Directory(ctx, "/a")
		for _, s := range list {
			if s == "" {
				t.Error("empty name")
			}
		}
		perms, _ := c.GetPerms(ctx, "/a")
		for _, p := range perms {
			if _, err := xenstore.ParsePerm(p.String()); err != nil {
				t.Error(err)
			}
		}
		_ = c.Write(ctx, "/a", "v")
		if w, err := c.Watch(ctx, "/a"); err == nil {
			w.Take()
			_ = w.Close()
		}
		_ = c.Transaction(ctx, func(tx *xenstore.Tx) error { return nil })
		_, _ = c.GetDomainPath(ctx, 1)
		_, _ = c.IsDomainIntroduced(ctx, 1)
		if ctx.Err() != nil {
			t.Error("a request hung")
		}
		_ = c.Close()
		_ = ours.Close()
	})
}

func FuzzParsePerm(f *testing.F) {
	for _, s := range []string{"n0", "r7", "w65535", "b1", "", "x", "n-1", "n00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := xenstore.ParsePerm(s)
		if err != nil {
			return
		}
		if again, err := xenstore.ParsePerm(p.String()); err != nil || again != p {
			t.Errorf("%q is %v, which is %v, %v", s, p, again, err)
		}
	})
}

// FuzzPaths: what Join makes of good parts is good, and Parent undoes it.
func FuzzPaths(f *testing.F) {
	for _, s := range []string{"/", "/a", "a", "//", "/a/", "data/x", "@x", "\x00"} {
		f.Add(s, "name")
	}
	f.Fuzz(func(t *testing.T, path, name string) {
		if xenstore.ValidatePath(path) != nil || !xenstore.ValidPort(name) || len(path)+len(name) > 2000 {
			return
		}
		joined := xenstore.Join(path, name)
		if err := xenstore.ValidatePath(joined); err != nil {
			t.Error(err)
		}
		if up, ok := xenstore.Parent(joined); !ok || up != path {
			t.Errorf("parent of %q is %q, %v, want %q", joined, up, ok, path)
		}
	})
}
