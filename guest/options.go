package guest

import (
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/guest/snapshot"
	"github.com/xentropyd/xentropyd/source"
)

// Options say how a Guest works. The zero value is good for most programs.
type Options struct {
	// Label is what the guest calls itself, for people who look at the host's
	// status: printable text of at most 64 bytes.
	Label string

	// Log is told of changes: the host is here or away, a target could not be
	// fed. Nothing secret is logged. nil: nobody is told.
	Log *slog.Logger

	// Kernel is fed at each seed of the host, with bytes of its own: the random
	// number generator of the system that this program runs on. On Linux it is
	// what kernelrng.Open gives. nil: the kernel is left alone.
	Kernel Target

	// RequireHost has Open wait for the host's seed for as long as its context
	// lets it. Else, when the host gave none within 3 s, the guest's own
	// sources serve as soon as they suffice; the host is followed all the same.
	RequireHost bool

	// Sources are the guest's own noise sources, which the Guest closes. nil:
	// all that package source finds here, started when the host had its turn.
	// If there are none, as in []source.Source{}, only the host can seed the
	// guest.
	Sources []source.Source

	// Restores counts how often the state of this machine may have been copied;
	// only that it changes matters, and that it never comes back to an earlier
	// value. It is called at each Read, from any goroutine, and must cost no
	// more than a load from memory. nil: snapshot.Counter, which sees most
	// restores on Linux and none elsewhere.
	Restores func() uint64

	// MaxPause is the longest time between two attempts to reach the host, give
	// or take a half. The first follows after some milliseconds, or at once if
	// the host was here for a second, and each waits twice as long as the one
	// before. 0: 30 s.
	MaxPause time.Duration

	// Protocol1 has the guest speak MirageOS's protocol of 2014, for a host
	// that knows no other. It has neither credit nor acknowledgement, nor does
	// it tell of copied machines.
	Protocol1 bool

	// Notify gets the new Status after each seed and each change of the
	// connection, from one goroutine at a time. It must return soon, as the
	// next seed waits for it, and must not call Close. nil: nobody is told.
	Notify func(Status)
}

// Target is something that is fed at each seed.
type Target interface {
	// Seed takes fresh bytes that nobody else gets, worth bits of entropy, and
	// returns the bits that were credited. The bytes are wiped after the call.
	// The error's text is shown in Status and told to the host, cut to 80
	// bytes.
	Seed(seed []byte, bits int) (credited int, err error)
}

// Our own choices, as no option says otherwise.
const (
	hostTime  = 3 * time.Second      // Open prefers to wait for the host for so long
	helloTime = 10 * time.Second     // the host must answer the hello within it
	minPause  = 5 * time.Millisecond // between two attempts to reach the host: a restored guest has no time to lose
	maxPause  = 30 * time.Second
)

// orDefaults puts in what stands for zero values. Sources stay nil until they
// are looked for.
func (o Options) orDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Restores == nil {
		o.Restores = snapshot.Counter()
	}
	if o.MaxPause <= 0 {
		o.MaxPause = maxPause
	}
	return o
}
