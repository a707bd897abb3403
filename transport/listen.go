package transport

import (
	"io/fs"
	"log/slog"
)

// ListenOptions are a host's rules; DefaultListenOptions are good.
type ListenOptions struct {
	Mode  fs.FileMode // of socket files. Who may write may connect
	Rate  float64     // connections per second and user, sub-uids included
	Burst int         // and so many at once

	// Held is how many channels' memory the processes of one user may have,
	// that of channels that are over included.
	Held int

	// Allow says whether this user, a member of these groups, may be a guest;
	// nil: whom the socket file's mode lets in.
	Allow func(uid uint32, gids []uint32) bool

	// Refused is told of guests that the carrier turned away; nil: nobody is.
	Refused func(Peer, error)

	Instance string       // the host's name of this run, for guests that watch who serves them
	Config   Config       // what the carrier's Config made; nil: its defaults
	Log      *slog.Logger // nil: slog.Default()
}

// DefaultListenOptions let in whom a socket file's mode 0660 lets in.
func DefaultListenOptions() ListenOptions {
	return ListenOptions{Mode: 0o660, Rate: 100, Burst: 128, Held: 256}
}
