// Package agent is the line between the lab and the machine that it booted:
// Client.Exec runs a command over there, Server answers inside.
//
// The line is any byte stream that may carry other text too, a console for
// example: each message stands on a line of its own behind a mark, with its
// length and checksum, and whatever else is on the stream is skipped. Messages
// may get lost: a request is repeated until its result is there, and an agent
// runs a request only once. Lost output is counted.
//
// One stream serves dom0 and, behind it, each guest: messages name the place
// that they are for, or from.
package agent
