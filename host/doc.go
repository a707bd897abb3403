// Package host serves entropy to guests. A toolstack can import it;
// cmd/xentropyd is its first user.
//
// [NewEntropy] gathers: it runs the noise sources with their health tests,
// seeds the host's Fortuna and answers Draw. [NewServer] gives away: one
// session and one goroutine for each connected guest, each with a budget. What
// connects them to the world is handed in: a listener for each carrier, an
// [Entropy] or anything with the same methods, a logger.
//
// How both behave is said by [Config] and [EntropyConfig]. Nothing in them is a
// default because it is zero: begin with [DefaultConfig] and
// [DefaultEntropyConfig].
//
// The package knows nothing of any carrier: a channel is a byte stream with
// deadlines, a peer is what the carrier vouches for.
package host
