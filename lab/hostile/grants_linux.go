package main

import (
	"encoding/binary"
	"time"
)

// grantGames offers pages that are not what they should be, and takes back
// those that the host has mapped.
func grantGames(g *guest) error {
	lists := []func(o *offer, i int) uint32{
		nil, // as it is: for one more page
		func(o *offer, _ int) uint32 { return o.refs[0] }, // the page itself, again and again
		func(_ *offer, i int) uint32 { // nothing, or others'
			return []uint32{0, 1, 2, 8, 1 << 31, 0xffffffff}[i%6]
		},
		func(o *offer, _ int) uint32 { return o.refs[1] }, // all right, but all the same
	}
	lefts := []uint16{20, 12, 16, 17, 11, 10, 9, 0, 65535, 11, 10, 12, 13, 21}
	rights := []uint16{20, 12, 16, 12, 11, 10, 10, 0, 65535, 20, 20, 10, 13, 10}
	for n := 0; !g.over(); n++ {
		o, err := g.prepare(hostID, hostID, 11, 10, 2)
		if err != nil {
			g.count("held", 1)
			g.pause(10 * time.Millisecond)
			continue
		}
		if n%4 != 3 {
			o.order(lefts[n%len(lefts)], rights[n%len(rights)])
			if ref := lists[(n-n/4)%len(lists)]; ref != nil {
				for i := 0; grants+4*i+4 <= 4096; i++ { // over all that comes behind the list, too
					binary.LittleEndian.PutUint32(o.page[grants+4*i:], ref(o, i))
				}
			}
			o.publish()
			o.connected(1100*time.Millisecond, "connects")
			o.close()
			continue
		}
		// Honest, until it is mapped: then the grant goes, the page comes again
		// under another reference, or the port is another's.
		o.publish()
		if !o.taken() {
			o.close()
			continue
		}
		newSession(o).open()
		_ = o.mem.Unmap()
		g.count("revoked", 1)
		if n%8 == 3 {
			_ = o.ev.Unbind(o.port)
			_, _ = o.ev.BindUnbound(hostID)
		}
		g.pause(200 * time.Millisecond)
		_ = o.ev.Close()
	}
	return nil
}
