package guest_test

import (
	"context"
	"net"
	"time"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// exampleHost dials a host inside this process that gives one seed.
func exampleHost(context.Context) (transport.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		d := protocol.NewHostDecoder(there)
		f, err := d.Next()
		if err != nil {
			return
		}
		h, _, err := protocol.NewHost(f)
		if err != nil {
			return
		}
		for _, m := range []protocol.Message{
			protocol.Welcome{Instance: [16]byte{1}, Generation: 1, KeepAlive: time.Minute},
			protocol.Seed{Generation: 1, Reason: protocol.ReasonConnect, Credit: 256, Payload: make([]byte, 32)},
		} {
			if _, err := there.Write(h.Append(nil, m)); err != nil {
				return
			}
		}
		for err == nil { // acknowledgements, until the guest closes
			_, err = d.Next()
		}
	}()
	return here, nil
}
