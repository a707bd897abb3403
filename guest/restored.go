package guest

import (
	"errors"

	"github.com/xentropyd/xentropyd/transport"
)

// noteRestored begins a new generation if a channel's error says that the
// machine was restored from a saved state.
func (g *Guest) noteRestored(err error) {
	if r, ok := errors.AsType[interface {
		error
		Restored() bool
	}](err); ok && r.Restored() {
		g.told.Add(1)
	}
}

// restoredReader is a channel whose errors are looked at as soon as there are
// any: each Read of the Guest's asks for the generation.
type restoredReader struct {
	transport.Conn
	g *Guest
}

func (c restoredReader) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.g.noteRestored(err)
	}
	return n, err
}
