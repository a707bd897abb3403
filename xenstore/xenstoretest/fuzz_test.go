package xenstoretest_test

import (
	"context"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

func record(op, req, tx uint32, payload string) []byte {
	b := make([]byte, 16, 16+len(payload))
	for i, v := range []uint32{op, req, tx, uint32(len(payload))} {
		binary.NativeEndian.PutUint32(b[4*i:], v)
	}
	return append(b, payload...)
}

// FuzzServer feeds the server whatever a client might send, as domain 0 and as
// a guest. Nothing may panic or hang, another client is served all the while,
// and what a guest does stays within what it owns.
func FuzzServer(f *testing.F) {
	var all []byte
	for op := range uint32(24) {
		f.Add(record(op, 1, 0, "/a\x00"), op%2 == 0)
		all = append(all, record(op, op, 0, "data/a\x00n7\x00")...)
	}
	f.Add(all, true)
	f.Add([]byte("no message at all, but long enough"), false)
	f.Add(append(record(6, 1, 0, "\x00"), append(record(11, 2, 1, "data/x\x00v"),
		record(7, 3, 1, "T\x00")...)...), true)
	f.Add(append(record(4, 1, 0, "data\x00t\x00"), record(13, 2, 0, "data\x00")...), true)
	f.Add(record(22, 1, 0, "/\x00-1\x00"), false)
	f.Add(record(12, 1, 0, ""), true)
	f.Fuzz(func(t *testing.T, stream []byte, asGuest bool) {
		s := xenstoretest.NewServer()
		defer s.Close()
		s.AddDomain(7, "guest")
		s.Write("/secret", "kept")
		domid := uint16(0)
		if asGuest {
			domid = 7
		}
		rwc, err := s.Dialer(domid)(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(io.Discard, rwc)
		}()
		_, _ = rwc.Write(stream)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := xenstore.Dial(ctx, s.Dialer(0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Directory(ctx, "/"); err != nil {
			t.Error(err)
		}
		if asGuest && s.Dump()["/secret"] != "kept" {
			t.Error("a guest changed what is not its own")
		}
		_ = c.Close()
		_ = rwc.Close()
		<-read
	})
}
