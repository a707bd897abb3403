package guest

import (
	"errors"
	"io"
)

// noteRestored begins a new generation if a channel's error says that the machine was restored from a saved state.
func (g *Guest) noteRestored(err error) {
	if r, ok := errors.AsType[interface {
		error
		Restored() bool
	}](err); ok && r.Restored() {
		g.restores.Add(1)
	}
}

// noting is a channel whose errors are looked at as soon as there are any: each read of the Guest's asks for the
// generation.
type noting struct {
	io.ReadWriteCloser
	g *Guest
}

func (c noting) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	if err != nil {
		c.g.noteRestored(err)
	}
	return n, err
}
