package ring

// Liveness is what one end says about itself.
type Liveness uint8

// The values of cli_live and srv_live.
const (
	Gone      Liveness = 0
	Connected Liveness = 1
	NotYet    Liveness = 2 // the client has not come yet
)

// Peer is what the peer's liveness byte says. Values that the format does not
// know count as Connected, as to the C library every byte but 0 does.
func (r *Ring) Peer() Liveness {
	shift := shiftSrvLive
	if r.role == Server {
		shift = shiftCliLive
	}
	switch v := Liveness(r.h.state.Load() >> shift); {
	case v == Gone:
		return Gone
	case v == NotYet && r.role == Server:
		return NotYet
	}
	return Connected
}

// Leave says in the page that we are gone. The caller then sends an event,
// asked for or not.
func (r *Ring) Leave() {
	if r.role == Server {
		r.setByte(shiftSrvLive, uint32(Gone))
	} else {
		r.setByte(shiftCliLive, uint32(Gone))
	}
}

// AskData asks to be told of the peer's next write, then looks again: the
// number of bytes that came meanwhile. Sleep only if it is 0.
func (r *Ring) AskData() (int, error) {
	r.request(notifyWrite)
	return r.Buffered()
}

// AskSpace asks to be told of the peer's next read, then looks again: the
// room that came meanwhile. Sleep only if it is 0.
func (r *Ring) AskSpace() (int, error) {
	r.request(notifyRead)
	return r.Space()
}

// request sets a bit in the byte where the peer looks for our wishes. Or is a
// full barrier: the index is read after it.
func (r *Ring) request(bit uint32) {
	if r.role == Server {
		r.h.state.Or(bit << shiftCliNotify)
	} else {
		r.h.state.Or(bit << shiftSrvNotify)
	}
}

// takeNotify says whether the peer wished to be told, and takes the wish back.
// The load first keeps the common case, no wish, off the bus.
func (r *Ring) takeNotify(bit uint32) bool {
	if r.role == Server {
		bit <<= shiftSrvNotify
	} else {
		bit <<= shiftCliNotify
	}
	return r.h.state.Load()&bit != 0 && r.h.state.And(^bit)&bit != 0
}

// setByte changes one byte of the state word. The new bits come first, so that
// a liveness that goes from 2 to 1 is never seen as 0.
func (r *Ring) setByte(shift int, v uint32) {
	r.h.state.Or(v << shift)
	r.h.state.And(^((^v & 0xff) << shift))
}
