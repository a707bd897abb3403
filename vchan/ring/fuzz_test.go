package ring

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// guarded is memory in which everything around the rings is known, so that a
// step outside shows.
type guarded struct {
	Memory
	left, right []byte // with a margin on both sides
}

const margin = 64

func guard(o Orders) guarded {
	g := guarded{}
	g.Page = make([]byte, PageSize)
	cut := func(n int) (whole, part []byte) {
		if n == 0 {
			return nil, nil
		}
		whole = bytes.Repeat([]byte{0xcc}, n+2*margin)
		clear(whole[margin : margin+n])
		return whole, whole[margin : margin+n : margin+n]
	}
	g.left, g.Left = cut(o.LeftPages() * PageSize)
	g.right, g.Right = cut(o.RightPages() * PageSize)
	return g
}

func (g guarded) intact() bool {
	for _, b := range [][]byte{g.left, g.right} {
		if b == nil {
			continue
		}
		frame := append(bytes.Clone(b[:margin]), b[len(b)-margin:]...)
		if !bytes.Equal(frame, bytes.Repeat([]byte{0xcc}, 2*margin)) {
			return false
		}
	}
	return true
}

// FuzzAttach joins an arbitrary page and uses it.
func FuzzAttach(f *testing.F) {
	for _, o := range []Orders{{10, 11}, {11, 10}, {12, 13}, {10, 20}, {9, 9}} {
		page := make([]byte, 64)
		binary.LittleEndian.PutUint16(page[16:], o.Left)
		binary.LittleEndian.PutUint16(page[18:], o.Right)
		copy(page[20:], []byte{2, 1, 1, 0})
		f.Add(page)
		binary.LittleEndian.PutUint32(page[offLeftProd:], 77)
		binary.LittleEndian.PutUint32(page[offRightCons:], 1<<32-5)
		f.Add(bytes.Clone(page))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		whole := make([]byte, PageSize)
		copy(whole, page)
		o, err := ReadOrders(whole)
		if err != nil {
			return
		}
		if o.Grants() > 16 {
			return // memory is all that would be tried
		}
		l, r, err := ReadGrants(whole, o)
		if err != nil || len(l) != o.LeftPages() || len(r) != o.RightPages() {
			t.Fatal("grants", len(l), len(r), err)
		}
		g := guard(o)
		copy(g.Page, whole)
		c, err := Attach(g.Memory, o)
		if err != nil {
			return
		}
		b := make([]byte, 5000)
		n, _, err := c.Read(b)
		if err != nil || n > c.ReadSize() {
			t.Fatal("read", n, err)
		}
		n, _, err = c.Write(b)
		if err != nil || n > c.WriteSize() {
			t.Fatal("write", n, err)
		}
		if !g.intact() {
			t.Fatal("outside of the rings")
		}
	})
}

// FuzzTraffic lets the peer write header words between our operations. Five
// bytes make a step: what to do, and a value.
func FuzzTraffic(f *testing.F) {
	f.Add(uint8(0), []byte{0, 9, 0, 0, 0, 2, 5, 0, 0, 0, 1, 5, 0, 0, 0})
	f.Add(uint8(1), []byte{2, 0, 4, 0, 0, 1, 0, 8, 0, 0, 3, 0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0})
	f.Add(uint8(2), []byte{0, 0, 8, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 6, 20, 0, 20, 0, 0, 1, 0, 0, 0})
	f.Add(uint8(7), []byte{7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0})
	layouts := []Orders{{10, 11}, {11, 10}, {12, 11}, {10, 12}}
	f.Fuzz(func(t *testing.T, how uint8, steps []byte) {
		o := layouts[how>>1&3]
		g := guard(o)
		server, err := Create(g.Memory, o, grantsFor(o))
		if err != nil {
			t.Fatal(err)
		}
		us := server
		if how&1 != 0 {
			if us, err = Attach(g.Memory, o); err != nil {
				t.Fatal(err)
			}
		}
		grants := bytes.Clone(g.Page[offGrants : offGrants+4*o.Grants()])
		broken := false
		b := make([]byte, 4096)
		for ; len(steps) >= 5; steps = steps[5:] {
			v := binary.LittleEndian.Uint32(steps[1:])
			var n, most int
			var err error
			switch what := steps[0] % 9; what {
			case 0:
				n, _, err = us.Write(b[:v%4097])
				most = us.WriteSize()
			case 1:
				n, _, err = us.Read(b[:v%4097])
				most = us.ReadSize()
			case 2:
				n, err = us.AskData()
				most = us.ReadSize()
			case 8:
				n, err = us.AskSpace()
				most = us.WriteSize()
			default: // the peer writes one of the header's words, near or far from what it was
				at := []int{offLeftCons, offLeftProd, offRightCons, offOrders, offState}[what-3]
				if v&1 != 0 {
					v = binary.LittleEndian.Uint32(g.Page[at:]) + v>>1%5000
				}
				binary.LittleEndian.PutUint32(g.Page[at:], v)
			}
			if n < 0 || n > most {
				t.Fatal("moved", n, "of", most)
			}
			if broken && err == nil && steps[0]%9 < 3 {
				t.Fatal("a corrupt ring went on")
			}
			broken = broken || err != nil
			us.Peer()
		}
		if !g.intact() || !bytes.Equal(grants, g.Page[offGrants:offGrants+4*o.Grants()]) {
			t.Fatal("outside of the rings")
		}
	})
}
