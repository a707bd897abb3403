// Package lend makes pages of memory that a process shares with others, whom it
// does not trust, and counts for each user those that somebody still has.
//
// A page stays charged to the process that made it for as long as anybody has
// its descriptor or a mapping, in a queue of messages too, whatever has become
// of what it was made for. [Lender.Page] gives no more to a user who has too
// many.
package lend

import "errors"

// ErrTooMany is why a user gets no page.
var ErrTooMany = errors.New("this user holds too many pages of earlier channels")

// pageSize is that of a page, bytes.
const pageSize = 4096
