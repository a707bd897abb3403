package xen

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
	"github.com/xentropyd/xentropyd/xenstore"
)

// publishRaw writes the nodes as a guest with its own program would.
func (w *fixture) publishRaw(ref, port string) {
	w.t.Helper()
	require.NoError(w.t, w.guestStore.Write(w.ctx, w.path+"/ring-ref", ref))
	require.NoError(w.t, w.guestStore.Write(w.ctx, w.path+"/event-channel", port))
}

// hostile is a guest that grants a page and writes what it likes.
type hostile struct {
	page *xendev.Mapping
	refs []uint32
	port uint32
	ev   *xendev.Evtchn
}

func (w *fixture) hostile(pages int) *hostile {
	w.t.Helper()
	p := w.guest.Process()
	d, err := xendev.OpenGntalloc(p)
	require.NoError(w.t, err)
	h := &hostile{}
	h.page, h.refs, err = d.Alloc(hostID, pages)
	require.NoError(w.t, err)
	require.NoError(w.t, d.Close())
	h.ev, err = xendev.OpenEvtchn(p)
	require.NoError(w.t, err)
	h.port, err = h.ev.BindUnbound(hostID)
	require.NoError(w.t, err)
	w.t.Cleanup(func() {
		require.NoError(w.t, h.ev.Close())
		require.NoError(w.t, h.page.Unmap())
	})
	w.publishRaw(strconv.Itoa(int(h.refs[0])), strconv.Itoa(int(h.port)))
	return h
}

// header writes a page as a server would, with any values.
func (h *hostile) header(left, right uint16, grants []uint32) {
	b := h.page.Bytes()
	clear(b[:ring.PageSize])
	binary.LittleEndian.PutUint16(b[16:], left)
	binary.LittleEndian.PutUint16(b[18:], right)
	b[20], b[21], b[22] = 2, 1, 1
	for i, g := range grants {
		if at := 24 + 4*i; at+4 <= ring.PageSize {
			binary.LittleEndian.PutUint32(b[at:], g)
		}
	}
}

func (w *fixture) refused() error {
	w.t.Helper()
	p := w.host.Process()
	c, err := Connect(w.ctx, w.hostStore, guestID, w.path, ConnectOptions{System: p})
	if err == nil {
		_ = c.Close()
	}
	require.Error(w.t, err)
	require.Equal(w.t, xendevtest.Counts{}, w.host.Counts())
	return err
}

func TestHostileNodes(t *testing.T) {
	w := newFixture(t)
	h := w.hostile(1)
	h.header(11, 10, nil)
	ref, port := strconv.Itoa(int(h.refs[0])), strconv.Itoa(int(h.port))
	for _, junk := range []string{"x", "", "0", "-1", "99999999999", strings.Repeat("9", 1500), "\x00\xff"} {
		w.publishRaw(junk, port)
		var e *xenstore.NodeError
		require.ErrorAs(t, w.refused(), &e)
		require.Equal(t, w.path+"/ring-ref", e.Path)
		w.publishRaw(ref, junk)
		require.ErrorAs(t, w.refused(), &e)
		require.Equal(t, w.path+"/event-channel", e.Path)
	}
	// Numbers in range that are nothing, or another's.
	w.publishRaw("4294967295", port)
	require.ErrorIs(t, w.refused(), ErrStale)
	w.publishRaw(ref, "131071")
	require.ErrorIs(t, w.refused(), ErrStale)
	w.publishRaw(ref, port)
	c := w.connect(w.host.Process())
	require.NoError(t, c.Close())
}

// Half an offer is none yet, nor is one that may not be read.
func TestHalfAnOffer(t *testing.T) {
	for _, late := range []func(w *fixture, ref, port string){
		func(w *fixture, ref, port string) {
			require.NoError(w.t, w.guestStore.Write(w.ctx, w.path+"/ring-ref", ref))
			require.NoError(w.t, w.guestStore.Write(w.ctx, w.path+"/something", "else"))
			require.NoError(w.t, w.guestStore.Rm(w.ctx, w.path+"/ring-ref")) // vanishes, and comes back
			require.NoError(w.t, w.guestStore.Write(w.ctx, w.path+"/event-channel", port))
			require.NoError(w.t, w.guestStore.Write(w.ctx, w.path+"/ring-ref", ref))
		},
		func(w *fixture, ref, port string) {
			require.NoError(w.t, w.guestStore.Write(w.ctx, w.path+"/event-channel", port))
			require.NoError(w.t, w.guestStore.Write(w.ctx, w.path+"/ring-ref", ref))
		},
	} {
		w := newFixture(t)
		h := w.hostile(1)
		h.header(11, 10, nil)
		require.NoError(t, w.guestStore.Rm(w.ctx, w.path))
		done := make(chan error, 1)
		go func() {
			c, err := Connect(w.ctx, w.hostStore, guestID, w.path, ConnectOptions{System: w.host.Process()})
			if err == nil {
				err = c.Close()
			}
			done <- err
		}()
		w.eventually(func() bool { return w.store.Watches(hostID) == 1 }, "no watch", func() []any { return nil })
		late(w, strconv.Itoa(int(h.refs[0])), strconv.Itoa(int(h.port)))
		require.NoError(t, <-done)
		w.eventually(func() bool { return w.store.Watches(hostID) == 0 }, "a watch stays", func() []any { return nil })
	}
}

func TestUnreadableNodes(t *testing.T) {
	w := newFixture(t)
	path, err := Path(hostID, guestID, "x")
	require.NoError(t, err)
	server, err := Offer(w.ctx, w.hostStore, guestID, path, OfferOptions{System: w.host.Process()})
	require.NoError(t, err)
	none := xenstore.Perm{DomID: hostID, Access: xenstore.AccessNone}
	read := xenstore.Perm{DomID: guestID, Access: xenstore.AccessRead}
	require.NoError(t, w.hostStore.SetPerms(w.ctx, path+"/ring-ref", none))
	done := make(chan error, 1)
	go func() {
		c, err := Connect(w.ctx, w.guestStore, hostID, path, ConnectOptions{System: w.guest.Process()})
		if err == nil {
			err = c.Close()
		}
		done <- err
	}()
	w.eventually(func() bool { return w.store.Watches(guestID) == 1 }, "no watch", func() []any { return nil })
	require.NoError(t, w.hostStore.SetPerms(w.ctx, path+"/ring-ref", none, read))
	require.NoError(t, <-done)
	require.NoError(t, server.Close())
	w.empty()
}

func TestHostilePages(t *testing.T) {
	for _, c := range []struct {
		name        string
		left, right uint16
		grants      []uint32 // nil: good ones
		want        error
	}{
		{"order 9", 9, 10, nil, ring.ErrLayout},
		{"order 21", 21, 10, nil, ring.ErrLayout},
		{"order 65535", 65535, 65535, nil, ring.ErrLayout},
		{"same place", 10, 10, nil, ring.ErrLayout},
		{"no grants", 12, 10, []uint32{0}, ErrStale},
		{"huge grant", 12, 10, []uint32{1<<32 - 1}, ErrStale},
		{"one missing", 14, 10, []uint32{8, 9, 10, 0}, ErrStale},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newFixture(t)
			h := w.hostile(5)
			h.header(c.left, c.right, c.grants)
			require.ErrorIs(t, w.refused(), c.want)
		})
	}
}

// The largest rings have 512 grants, which end where an in-page ring of order
// 11 begins and run into one of order 10: the C client does not look.
func TestGrantListInRing(t *testing.T) {
	w := newFixture(t)
	h := w.hostile(1)
	h.header(20, 10, nil) // 256 grants end at byte 1048
	require.ErrorIs(t, w.refused(), ring.ErrLayout)
}

func TestGoneServer(t *testing.T) {
	w := newFixture(t)
	h := w.hostile(1)
	h.header(11, 10, nil)
	h.page.Bytes()[21] = 0
	require.ErrorIs(t, w.refused(), ErrStale)
}

func TestMaxOrder(t *testing.T) {
	w := newFixture(t)
	w.offer(w.guest.Process(), ring.Orders{Left: 13, Right: 10})
	p := w.host.Process()
	_, err := Connect(w.ctx, w.hostStore, guestID, w.path, ConnectOptions{MaxOrder: 12, System: p})
	require.ErrorIs(t, err, ErrOrder)
	require.Equal(t, xendevtest.Counts{}, w.host.Counts())
	c, err := Connect(w.ctx, w.hostStore, guestID, w.path, ConnectOptions{MaxOrder: 13, System: p})
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

// Rings made of the page itself, twice over: the guest harms its own channel
// alone.
func TestOverlappingGrants(t *testing.T) {
	w := newFixture(t)
	h := w.hostile(1)
	h.header(12, 12, []uint32{h.refs[0], h.refs[0]})
	c := w.connect(w.host.Process())
	_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
	for range 100 {
		if _, err := c.Write(randomBytes(700, 1)); err != nil {
			break
		}
		if _, err := c.Read(make([]byte, 300)); err != nil {
			break
		}
	}
	_ = c.Close()
	require.Equal(t, xendevtest.Counts{}, w.host.Counts())
}

// A guest that scribbles over its own page while we use it.
func TestScribble(t *testing.T) {
	w := newFixture(t)
	h := w.hostile(1)
	for seed := range uint64(30) {
		h.header(11, 10, nil)
		c := w.connect(w.host.Process())
		rnd := rand.New(rand.NewPCG(seed, 3))
		_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
		var err error
		for range 50 {
			at := 4 * rnd.IntN(6)
			binary.LittleEndian.PutUint32(h.page.Bytes()[at:], rnd.Uint32()>>rnd.IntN(32))
			if _, err = c.Write([]byte("some bytes")); err != nil {
				break
			}
			if n := c.Buffered(); n > 0 {
				if _, err = io.ReadFull(c, make([]byte, min(n, 100))); err != nil {
					break
				}
			}
		}
		_ = c.Close()
		require.Equal(t, xendevtest.Counts{}, w.host.Counts())
		// The port was bound once; the next round needs a new one.
		require.NoError(t, h.ev.Unbind(h.port))
		h.port, err = h.ev.BindUnbound(hostID)
		require.NoError(t, err)
		w.publishRaw(strconv.Itoa(int(h.refs[0])), strconv.Itoa(int(h.port)))
	}
}

// A bad index is an error that says so, and the memory is unmapped at once.
func TestBadIndex(t *testing.T) {
	w := newFixture(t)
	h := w.hostile(1)
	h.header(11, 10, nil)
	c := w.connect(w.host.Process())
	binary.LittleEndian.PutUint32(h.page.Bytes()[12:], 5000) // right.prod
	_, err := c.Read(make([]byte, 10))
	require.ErrorIs(t, err, vchan.ErrCorrupt)
	require.Equal(t, xendevtest.Counts{}, w.host.Counts())
}
