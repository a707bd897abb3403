package main

import (
	"io"

	"github.com/xentropyd/xentropyd/protocol"
)

// watchedChannel counts the acknowledgements that went out. The guest library writes each frame with one Write, and its type comes
// first.
type watchedChannel struct {
	io.ReadWriteCloser
	f *follower
}

func (c *watchedChannel) Write(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Write(p)
	if err == nil && len(p) > 0 && protocol.Type(p[0]) == protocol.TypeAck {
		c.f.mu.Lock()
		c.f.acks++
		c.f.mu.Unlock()
		c.f.wake()
	}
	return n, err
}
