// Package unixsock is what the daemon's listening Unix sockets have in common:
// the socket file ([Listen]), and how often a user may connect ([Limiter]),
// with the kernel's help against one who does not stop ([File.KeepOut]).
package unixsock

import (
	"errors"
	"time"
)

// ErrInUse is given by Listen when another process listens on the path.
var ErrInUse = errors.New("another process listens on the socket")

// Backlog is how many connections wait to be accepted; net.core.somaxconn caps
// it (listen(2)). It is what an honest user waits behind when others flood.
const Backlog = 64

// KeepOutTime is how long a user is kept out.
const KeepOutTime = 10 * time.Second
