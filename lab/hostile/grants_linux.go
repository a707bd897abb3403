package main

import (
	"encoding/binary"
	"time"
)

// grantGames offers pages that are not what they should be, and takes back those that the host has mapped.
func grantGames(g *guest) error {
	games := []func(o *offer){
		func(o *offer) {}, // the orders below, with a list of zeros
		func(o *offer) { // a list of the page itself, again and again
			o.fill(func(int) uint32 { return o.refs[0] })
		},
		func(o *offer) { // references that are nothing, or others'
			o.fill(func(i int) uint32 { return []uint32{0, 1, 2, 8, 1 << 31, 0xffffffff}[i%6] })
		},
		func(o *offer) { // all right, but for the last one
			o.fill(func(i int) uint32 { return o.refs[min(1, len(o.refs)-1)] })
		},
	}
	sizes := [][2]uint16{{20, 20}, {12, 12}, {16, 16}, {17, 12}, {11, 11}, {10, 10}, {9, 10}, {0, 0}, {65535, 65535}, {11, 20}, {10, 20}, {12, 10}, {13, 13}, {21, 10}}
	for n := 0; !g.over(); n++ {
		o, err := g.prepare(hostID, hostID, 11, 10, 2)
		if err != nil {
			g.count("held", 1)
			g.pause(10 * time.Millisecond)
			continue
		}
		if n%4 != 3 {
			size := sizes[n%len(sizes)]
			binary.LittleEndian.PutUint16(o.page[orders:], size[0])
			binary.LittleEndian.PutUint16(o.page[orders+2:], size[1])
			games[n%len(games)](o)
			o.publish(number(o.refs[0]), number(o.port))
			g.until(1100*time.Millisecond, o.here)
			if o.here() {
				g.count("connects", 1)
			}
			o.close()
			continue
		}
		// Honest, until it is mapped: then the grant goes, the page comes again under another reference, or the port is another's.
		o.publish(number(o.refs[0]), number(o.port))
		if o.taken() {
			newSession(o).open()
			_ = o.mem.Unmap()
			g.count("revoked", 1)
			if n%8 == 3 {
				_ = o.ev.Unbind(o.port)
				_, _ = o.ev.BindUnbound(hostID)
			}
			g.pause(200 * time.Millisecond)
			_ = o.ev.Close()
			continue
		}
		o.close()
	}
	return nil
}

// fill writes the grant list, over all that comes behind it.
func (o *offer) fill(ref func(i int) uint32) {
	for i := 0; grants+4*i+4 <= 4096; i++ {
		binary.LittleEndian.PutUint32(o.page[grants+4*i:], ref(i))
	}
}
