package ring

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// inPage are the in-page orders, both ways round.
var inPage = []Orders{{10, 11}, {11, 10}}

func memoryFor(o Orders) Memory {
	return Memory{
		Page:  make([]byte, PageSize),
		Left:  make([]byte, o.LeftPages()*PageSize),
		Right: make([]byte, o.RightPages()*PageSize),
	}
}

func grantsFor(o Orders) []uint32 {
	g := make([]uint32, o.Grants())
	for i := range g {
		g[i] = 0x1000 + uint32(i)
	}
	return g
}

func pair(t testing.TB, o Orders) (m Memory, server, client *Ring) {
	t.Helper()
	m = memoryFor(o)
	server, err := Create(m, o, grantsFor(o))
	require.NoError(t, err)
	got, err := ReadOrders(m.Page)
	require.NoError(t, err)
	require.Equal(t, o, got)
	client, err = Attach(m, got)
	require.NoError(t, err)
	return m, server, client
}

// The layout below is that of struct vchan_interface in xen/io/libxenvchan.h,
// with the values that libxenvchan_server_init and _client_init put in.
func TestPageDump(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		require.NoError(t, err)
		return b
	}
	check := func(page []byte, head string, rest map[int]string) {
		t.Helper()
		want := make([]byte, PageSize)
		copy(want, unhex(head))
		for at, s := range rest {
			copy(want[at:], s)
		}
		require.Equal(t, hex.Dump(want), hex.Dump(page))
	}
	m := memoryFor(Orders{10, 11})
	for i := range m.Page {
		m.Page[i] = 0xee // Create must clear it
	}
	server, err := Create(m, Orders{10, 11}, nil)
	require.NoError(t, err)
	//              left cons prod    right cons prod   orders    live notify
	check(m.Page, "00000000 00000000 00000000 00000000 0a00 0b00 02 01 01 00", nil)
	client, err := Attach(m, Orders{10, 11})
	require.NoError(t, err)
	check(m.Page, "00000000 00000000 00000000 00000000 0a00 0b00 01 01 01 01", nil)

	n, told, err := client.Write([]byte("to the server"))
	require.NoError(t, err)
	require.Equal(t, 13, n)
	require.True(t, told)
	check(m.Page, "00000000 0d000000 00000000 00000000 0a00 0b00 01 01 00 01", map[int]string{1024: "to the server"})
	n, told, err = server.Write([]byte("to the client!"))
	require.NoError(t, err)
	require.Equal(t, 14, n)
	require.True(t, told)
	check(m.Page, "00000000 0d000000 00000000 0e000000 0a00 0b00 01 01 00 00",
		map[int]string{1024: "to the server", 2048: "to the client!"})

	_, err = server.AskSpace() // READ for the client to see
	require.NoError(t, err)
	_, err = client.AskData() // WRITE for the server to see
	require.NoError(t, err)
	check(m.Page, "00000000 0d000000 00000000 0e000000 0a00 0b00 01 01 02 01",
		map[int]string{1024: "to the server", 2048: "to the client!"})
	b := make([]byte, 6)
	n, told, err = server.Read(b)
	require.NoError(t, err)
	require.Equal(t, "to the", string(b[:n]))
	require.False(t, told)
	check(m.Page, "06000000 0d000000 00000000 0e000000 0a00 0b00 01 01 02 01",
		map[int]string{1030: " server", 2048: "to the client!"})
	client.Leave()
	server.Leave()
	check(m.Page, "06000000 0d000000 00000000 0e000000 0a00 0b00 00 00 02 01",
		map[int]string{1030: " server", 2048: "to the client!"})
}

func TestGrantListBytes(t *testing.T) {
	o := Orders{13, 12}
	m := memoryFor(o)
	_, err := Create(m, o, []uint32{0x01020304, 0xfffffffe, 7})
	require.NoError(t, err)
	require.Equal(t, "0d000c00"+"02010100"+"04030201"+"feffffff"+"07000000"+"00000000",
		hex.EncodeToString(m.Page[16:40]))
	left, right, err := ReadGrants(m.Page, o)
	require.NoError(t, err)
	require.Equal(t, []uint32{0x01020304, 0xfffffffe}, left)
	require.Equal(t, []uint32{7}, right)
	clear(m.Page) // the copy is private
	require.Equal(t, []uint32{0x01020304, 0xfffffffe}, left)
}

func TestOrders(t *testing.T) {
	for _, o := range []Orders{
		{10, 11},
		{11, 10},
		{12, 12},
		{20, 20},
		{10, 12},
		{19, 10},
		{11, 20},
		{20, 11},
		{12, 20},
	} {
		require.NoError(t, o.Check(), o)
	}
	for _, o := range []Orders{
		{9, 11},
		{11, 9},
		{21, 11},
		{11, 21},
		{0, 0},
		{10, 10},
		{11, 11},
		{65535, 12},
		{20, 10}, // 256 grants from 24 on run into the ring at 1024, which leaves room for 250
		{10, 20},
	} {
		require.ErrorIs(t, o.Check(), ErrLayout, o)
	}
}

func TestRefusedMemory(t *testing.T) {
	o := Orders{12, 11}
	good := memoryFor(o)
	for name, m := range map[string]Memory{
		"short page":  {Page: good.Page[:PageSize-1], Left: good.Left},
		"no left":     {Page: good.Page},
		"short left":  {Page: good.Page, Left: good.Left[:PageSize-1]},
		"long left":   {Page: good.Page, Left: make([]byte, 2*PageSize)},
		"odd address": {Page: make([]byte, PageSize+8)[1 : PageSize+1], Left: good.Left},
	} {
		_, err := Create(m, o, grantsFor(o))
		require.ErrorIs(t, err, ErrLayout, name)
		_, err = Attach(m, o)
		require.ErrorIs(t, err, ErrLayout, name)
	}
	_, err := Create(good, o, nil)
	require.ErrorIs(t, err, ErrLayout, "grants missing")
	_, err = Create(good, Orders{12, 12}, make([]uint32, 2))
	require.ErrorIs(t, err, ErrLayout, "right missing")
}

func TestExchange(t *testing.T) {
	for _, o := range []Orders{{10, 11}, {11, 10}, {12, 10}, {11, 16}, {12, 12}, {20, 16}} {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			_, server, client := pair(t, o)
			exchange(t, server, client, 4<<o.Right)
			exchange(t, client, server, 4<<o.Left)
		})
	}
}

// exchange moves total bytes in random portions, and holds every level on the
// way against the sum of what went in and out.
func exchange(t *testing.T, from, to *Ring, total int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, uint64(total)))
	size := from.WriteSize()
	require.Equal(t, size, to.ReadSize())
	in, out := make([]byte, total), make([]byte, 0, total)
	for i := range in {
		in[i] = byte(rnd.Uint32())
	}
	sent := 0
	for len(out) < total {
		n, _, err := from.Write(in[sent:min(total, sent+rnd.IntN(size+size/2))])
		require.NoError(t, err)
		sent += n
		level, err := to.Buffered()
		require.NoError(t, err)
		require.Equal(t, sent-len(out), level)
		space, err := from.Space()
		require.NoError(t, err)
		require.Equal(t, size-level, space)
		b := make([]byte, rnd.IntN(size+size/2))
		n, _, err = to.Read(b)
		require.NoError(t, err)
		require.Equal(t, min(level, len(b)), n)
		out = append(out, b[:n]...)
	}
	require.True(t, bytes.Equal(in, out))
}

// The indices run through 2^32 as if nothing was there.
func TestIndexWrap(t *testing.T) {
	for _, o := range inPage {
		m := memoryFor(o)
		server, err := Create(m, o, nil)
		require.NoError(t, err)
		const start = 1<<32 - 100
		for i := 0; i < 16; i += 4 {
			binary.LittleEndian.PutUint32(m.Page[i:], start)
		}
		server.rx.own.Store(start)
		server.tx.own.Store(start)
		client, err := Attach(m, o) // takes over what an earlier client left
		require.NoError(t, err)
		exchange(t, server, client, 4<<o.Right)
		exchange(t, client, server, 4<<o.Left)
	}
}

func TestReadWipes(t *testing.T) {
	for _, o := range []Orders{{10, 11}, {12, 11}} {
		m, server, client := pair(t, o)
		fill := bytes.Repeat([]byte{0xa5}, 1<<o.Left)
		for _, n := range []int{1 << o.Left, 700, 700} { // the last one wraps
			_, _, err := client.Write(fill[:n])
			require.NoError(t, err)
			got, _, err := server.Read(make([]byte, n))
			require.NoError(t, err)
			require.Equal(t, n, got)
			require.NotContains(t, string(m.Page[offGrants:]), "\xa5")
			require.NotContains(t, string(m.Left), "\xa5")
		}
		// What was not read stays.
		_, _, err := client.Write(fill[:10])
		require.NoError(t, err)
		_, _, err = server.Read(make([]byte, 4))
		require.NoError(t, err)
		require.Equal(t, 6, bytes.Count(append(m.Page[offGrants:], m.Left...), []byte{0xa5}))
	}
}

// index is where the peer of a role writes, and what makes it corrupt.
func TestCorruptIndex(t *testing.T) {
	for _, o := range inPage {
		for _, c := range []struct {
			name string
			at   int // offset of the index in the page
			role Role
			read bool
		}{
			{"left prod, server reads", offLeftProd, Server, true},
			{"right cons, server writes", offRightCons, Server, false},
			{"right prod, client reads", offRightProd, Client, true},
			{"left cons, client writes", offLeftCons, Client, false},
		} {
			size := uint32(1) << o.Left
			if c.at == offRightCons || c.at == offRightProd {
				size = 1 << o.Right
			}
			for _, v := range []struct {
				dist uint32 // prod - cons
				ok   bool
			}{{0, true}, {size, true}, {size + 1, false}, {1 << 31, false}, {1<<32 - 1, false}} {
				t.Run(fmt.Sprintf("%s %v %#x", c.name, o, v.dist), func(t *testing.T) {
					m, server, client := pair(t, o)
					r := server
					if c.role == Client {
						r = client
					}
					put := v.dist
					if !c.read {
						put = -v.dist
					}
					binary.LittleEndian.PutUint32(m.Page[c.at:], put)
					b := make([]byte, 1)
					op := func() error {
						var err error
						if c.read {
							_, _, err = r.Read(b)
						} else {
							_, _, err = r.Write(b)
						}
						return err
					}
					if v.ok {
						require.NoError(t, op())
						return
					}
					before := bytes.Clone(m.Page)
					err := op()
					require.ErrorIs(t, err, ErrCorrupt)
					var ce *CorruptError
					require.True(t, errors.As(err, &ce))
					require.Equal(t, size, ce.Size)
					require.Equal(t, put, ce.Theirs)
					binary.LittleEndian.PutUint32(m.Page[c.at:], 0) // too late
					require.Same(t, ce, op())
					_, err = r.Buffered()
					require.Same(t, ce, err)
					_, err = r.Space()
					require.Same(t, ce, err)
					require.Same(t, ce, r.Err())
					copy(before[c.at:], make([]byte, 4))
					require.Equal(t, before, m.Page, "nothing was written")
				})
			}
		}
	}
}

func TestAttachRefusesIndices(t *testing.T) {
	for _, at := range []int{offLeftCons, offLeftProd, offRightCons, offRightProd} {
		o := Orders{10, 11}
		m := memoryFor(o)
		_, err := Create(m, o, nil)
		require.NoError(t, err)
		binary.LittleEndian.PutUint32(m.Page[at:], 1<<30)
		before := bytes.Clone(m.Page)
		_, err = Attach(m, o)
		require.ErrorIs(t, err, ErrCorrupt)
		require.Equal(t, before, m.Page)
	}
}

func TestReadOrdersRefuses(t *testing.T) {
	page := make([]byte, PageSize)
	_, err := ReadOrders(page)
	require.ErrorIs(t, err, ErrLayout)
	_, err = ReadOrders(page[:100])
	require.ErrorIs(t, err, ErrLayout)
	_, _, err = ReadGrants(page, Orders{})
	require.ErrorIs(t, err, ErrLayout)
	_, _, err = ReadGrants(page[:100], Orders{12, 12})
	require.ErrorIs(t, err, ErrLayout)
}

// Orders in the page are never looked at again.
func TestOrdersArePrivate(t *testing.T) {
	m, server, client := pair(t, Orders{10, 11})
	binary.LittleEndian.PutUint32(m.Page[offOrders:], 20|20<<16)
	exchange(t, server, client, 8<<10)
	exchange(t, client, server, 8<<10)
}

func TestLiveness(t *testing.T) {
	m := memoryFor(Orders{10, 11})
	server, err := Create(m, Orders{10, 11}, nil)
	require.NoError(t, err)
	require.Equal(t, NotYet, server.Peer())
	client, err := Attach(m, Orders{10, 11})
	require.NoError(t, err)
	require.Equal(t, Connected, server.Peer())
	require.Equal(t, Connected, client.Peer())
	m.Page[21] = 77 // what the C library takes for open
	require.Equal(t, Connected, client.Peer())
	m.Page[21] = 2 // no such thing as a server that has not come
	require.Equal(t, Connected, client.Peer())
	m.Page[20] = 0
	require.Equal(t, Gone, server.Peer())
	server.Leave()
	require.Equal(t, Gone, client.Peer())
	require.Equal(t, "server client", fmt.Sprint(server.Role(), client.Role()))
}

// One goroutine each way, and others that look at the levels, all at once.
func TestConcurrent(t *testing.T) {
	_, server, client := pair(t, Orders{10, 11})
	var wg sync.WaitGroup
	done := make(chan struct{})
	for _, r := range []*Ring{server, client} {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if i%16 == 0 {
					runtime.Gosched() // or each turn is a whole time slice; wasm never ends it
				}
				_, err1 := r.Buffered()
				_, err2 := r.Space()
				if err1 != nil || err2 != nil {
					t.Error(err1, err2)
					return
				}
			}
		})
	}
	var movers sync.WaitGroup
	const total = 60 << 10
	for _, d := range [][2]*Ring{{server, client}, {client, server}} {
		movers.Go(func() {
			b := make([]byte, 300)
			for sent := 0; sent < total; {
				for i := range b {
					b[i] = byte(sent + i)
				}
				n, _, err := d[0].Write(b[:min(len(b), total-sent)])
				if err != nil {
					t.Error(err)
					return
				}
				sent += n
				runtime.Gosched()
			}
		})
		movers.Go(func() {
			b := make([]byte, 500)
			for got := 0; got < total; {
				n, _, err := d[1].Read(b)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range n {
					if b[i] != byte(got+i) {
						t.Errorf("byte %d is wrong", got+i)
						return
					}
				}
				got += n
				runtime.Gosched()
			}
		})
	}
	movers.Wait()
	close(done)
	wg.Wait()
}
