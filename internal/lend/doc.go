// Package lend makes pages of memory that a process shares with others, whom it
// does not trust, and counts for each user those that somebody still has.
//
// The memory itself is charged to whoever touches it first, which is to be the
// other one. What the kernel keeps beside it (the file, a watch, messages that
// nobody has read) stays charged to the process that made the page for as long
// as anybody has its descriptor or a mapping, in a queue of messages too,
// whatever has become of what it was made for. [Lender.Page] gives no more to a
// user who has too many.
package lend

import "errors"

// ErrTooMany is why a user gets no page.
var ErrTooMany = errors.New("too many pages of earlier channels are still held")

// pageSize is that of a page, bytes.
const pageSize = 4096
