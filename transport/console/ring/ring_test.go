package ring

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// guest is the front end of xen/io/console.h, written down by its offsets
// alone.
type guest struct{ page []byte }

func (g guest) at(off int) uint32     { return binary.LittleEndian.Uint32(g.page[off:]) }
func (g guest) set(off int, v uint32) { binary.LittleEndian.PutUint32(g.page[off:], v) }
func (g guest) inCons() uint32        { return g.at(3072) }
func (g guest) inProd() uint32        { return g.at(3076) }
func (g guest) outCons() uint32       { return g.at(3080) }
func (g guest) outProd() uint32       { return g.at(3084) }
func (g guest) all(in, out uint32) {
	g.set(3072, in)
	g.set(3076, in)
	g.set(3080, out)
	g.set(3084, out)
}

func (g guest) empty(from, to int) bool { return bytes.Count(g.page[from:to], []byte{0}) == to-from }

func (g guest) write(p []byte) int {
	n := min(len(p), 2048-int(g.outProd()-g.outCons()))
	for i := range n {
		g.page[1024+(g.outProd()+uint32(i))%2048] = p[i]
	}
	g.set(3084, g.outProd()+uint32(n))
	return n
}

func (g guest) read(p []byte) int {
	n := min(len(p), int(g.inProd()-g.inCons()))
	for i := range n {
		p[i] = g.page[(g.inCons()+uint32(i))%1024]
	}
	g.set(3072, g.inCons()+uint32(n))
	return n
}

func newPair(t testing.TB, in, out uint32) (*Ring, guest) {
	g := guest{make([]byte, PageSize)}
	g.all(in, out)
	r, err := Attach(g.page)
	require.NoError(t, err)
	return r, g
}

// The first bytes and indices as the header has them.
func TestLayout(t *testing.T) {
	r, g := newPair(t, 0, 0)
	n, err := r.Write([]byte("abc"))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, "abc", string(g.page[:3]))
	require.Equal(t, []byte{3, 0, 0, 0}, g.page[3076:3080])
	copy(g.page[1024:], "hello")
	copy(g.page[3084:], []byte{5, 0, 0, 0})
	p := make([]byte, 9)
	n, err = r.Read(p)
	require.NoError(t, err)
	require.Equal(t, "hello", string(p[:n]))
	require.Equal(t, []byte{5, 0, 0, 0}, g.page[3080:3084])
	require.True(t, g.empty(1024, 3072), "what was read is wiped")
}

// starts are indices at which something wraps.
var starts = []uint32{0, 1, 1023, 1024, 2047, 1<<32 - 1, 1<<32 - 1024, 1<<32 - 2048}

func TestBothWays(t *testing.T) {
	for _, start := range starts {
		r, g := newPair(t, start, start)
		rnd := rand.New(rand.NewPCG(uint64(start), 1))
		var sent, got, sentIn, gotIn []byte
		buf := make([]byte, 3000)
		for range 300 {
			p := make([]byte, rnd.IntN(1500))
			for i := range p {
				p[i] = byte(rnd.Uint32())
			}
			sent = append(sent, p[:g.write(p)]...)
			n, err := r.Read(buf[:rnd.IntN(1500)])
			require.NoError(t, err)
			got = append(got, buf[:n]...)
			n, err = r.Write(p)
			require.NoError(t, err)
			sentIn = append(sentIn, p[:n]...)
			gotIn = append(gotIn, buf[:g.read(buf[:rnd.IntN(1500)])]...)
		}
		n, err := r.Read(buf)
		require.NoError(t, err)
		got = append(got, buf[:n]...)
		gotIn = append(gotIn, buf[:g.read(buf)]...)
		require.True(t, bytes.Equal(sent, got))
		require.True(t, bytes.Equal(sentIn, gotIn))
		require.NoError(t, r.Wipe())
		require.True(t, g.empty(0, 3072), "nothing of what was moved stays in the page")
	}
}

func TestFull(t *testing.T) {
	for _, start := range starts {
		r, g := newPair(t, start, start)
		space, err := r.Space()
		require.NoError(t, err)
		require.Equal(t, 1024, space)
		n, err := r.Write(make([]byte, 1500))
		require.NoError(t, err)
		require.Equal(t, 1024, n)
		n, err = r.Write([]byte{1})
		require.NoError(t, err)
		require.Zero(t, n)
		unread, err := r.Unread()
		require.NoError(t, err)
		require.Equal(t, 1024, unread)
		require.Equal(t, 1, g.read(make([]byte, 1)))
		n, err = r.Write([]byte{1, 2})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, 2048, g.write(make([]byte, 3000)))
		n, err = r.Buffered()
		require.NoError(t, err)
		require.Equal(t, 2048, n)
	}
}

// One over the cutoff is refused, at it is taken, for each index that the guest
// writes.
func TestImpossibleIndices(t *testing.T) {
	for _, start := range starts {
		r, g := newPair(t, start, start)
		g.set(3084, start+2048)
		n, err := r.Read(make([]byte, 4096))
		require.NoError(t, err)
		require.Equal(t, 2048, n)
		g.set(3084, start+2048+2049)
		_, err = r.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrCorrupt)
		g.set(3084, start+2048)
		_, err = r.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrCorrupt, "for ever after")
		_, err = r.Write(make([]byte, 1))
		require.ErrorIs(t, err, ErrCorrupt, "in both directions")

		r, g = newPair(t, start, start)
		g.set(3072, start-1024)
		n, err = r.Write([]byte{1})
		require.NoError(t, err)
		require.Zero(t, n)
		g.set(3072, start-1025)
		_, err = r.Write([]byte{1})
		require.ErrorIs(t, err, ErrCorrupt)

		r, g = newPair(t, start, start)
		g.set(3072, start+1)
		_, err = r.Space()
		require.ErrorIs(t, err, ErrCorrupt, "it took what was not there")
	}
}

// The guest may write our own indices, too: they are not believed.
func TestOwnIndicesAreOurs(t *testing.T) {
	r, g := newPair(t, 7, 9)
	g.set(3076, 500)
	g.set(3080, 1000)
	n, err := r.Write([]byte("x"))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.EqualValues(t, 8, g.inProd())
	g.set(3084, 10)
	n, err = r.Read(make([]byte, 10))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.EqualValues(t, 10, g.outCons())
}

// A page that was in use goes on; one that is corrupt from the start is
// refused.
func TestAttachTakesOver(t *testing.T) {
	g := guest{make([]byte, PageSize)}
	g.all(5000, 6000)
	g.set(3084, 6004)
	g.set(3072, 4990)
	copy(g.page[1024+6000%2048:], "more")
	r, err := Attach(g.page)
	require.NoError(t, err)
	p := make([]byte, 10)
	n, err := r.Read(p)
	require.NoError(t, err)
	require.Equal(t, "more", string(p[:n]))
	n, err = r.Unread()
	require.NoError(t, err)
	require.Equal(t, 10, n)

	g.set(3084, 6004+2049)
	_, err = Attach(g.page)
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = Attach(g.page[:100])
	require.ErrorIs(t, err, ErrMemory)
	_, err = Attach(make([]byte, PageSize+1)[1:])
	require.ErrorIs(t, err, ErrMemory)
}

// A reader and a writer side by side with a guest that works on the other end.
func TestConcurrent(t *testing.T) {
	r, g := newPair(t, 1<<32-500, 1<<32-700)
	const total = 20000
	var wg sync.WaitGroup
	move := func(f func(p []byte) (int, error)) {
		wg.Go(func() {
			for left := total; left > 0; {
				n, err := f(make([]byte, min(left, 999)))
				if err != nil {
					t.Error(err)
					return
				}
				left -= n
			}
		})
	}
	other, err := Attach(g.page) // any view of the page whose loads are atomic
	require.NoError(t, err)
	move(r.Read)
	move(r.Write)
	move(func(p []byte) (int, error) { // the guest writes
		n := min(len(p), OutSize-int(other.shared.outProd.Load()-other.shared.outCons.Load()))
		other.shared.outProd.Add(uint32(n))
		return n, nil
	})
	move(func(p []byte) (int, error) { // and reads
		n := min(len(p), int(other.shared.inProd.Load()-other.shared.inCons.Load()))
		other.shared.inCons.Add(uint32(n))
		return n, nil
	})
	wg.Wait()
}

// FuzzRing is a guest that writes anything anywhere in the page between our
// calls.
func FuzzRing(f *testing.F) {
	f.Add([]byte{0, 3, 12, 1, 0, 0, 0, 1, 5, 2, 9})
	f.Add(bytes.Repeat([]byte{0, 12, 12, 255, 255, 255, 255, 1, 200, 2, 200, 3}, 5))
	f.Fuzz(func(t *testing.T, script []byte) {
		page := make([]byte, PageSize+64)
		guard := page[PageSize:]
		for i := range guard {
			guard[i] = 0xa5
		}
		r, err := Attach(page[:PageSize:PageSize])
		require.NoError(t, err)
		buf := make([]byte, 4096)
		var own, ownIn uint32
		for len(script) >= 2 {
			op, n := script[0]%4, int(script[1])*9
			script = script[2:]
			switch op {
			case 0: // four bytes at an offset
				if len(script) < 5 {
					return
				}
				copy(page[3072+int(script[0])%16:PageSize], script[1:5])
				script = script[5:]
			case 1:
				got, err := r.Read(buf[:n])
				require.LessOrEqual(t, got, n)
				require.LessOrEqual(t, got, OutSize)
				if err == nil {
					own += uint32(got)
					if got > 0 {
						require.Equal(t, own, guest{page}.outCons())
					}
				}
			case 2:
				got, err := r.Write(buf[:n])
				require.LessOrEqual(t, got, min(n, InSize))
				if err == nil && got > 0 {
					ownIn += uint32(got)
					require.Equal(t, ownIn, guest{page}.inProd())
				}
			case 3:
				_ = r.Wipe()
				_, _ = r.Unread()
			}
			if r.Err() != nil {
				_, err := r.Read(buf[:1])
				require.ErrorIs(t, err, ErrCorrupt)
			}
		}
		require.Equal(t, bytes.Repeat([]byte{0xa5}, 64), guard)
	})
}
