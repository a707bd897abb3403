//go:build !unix

package cli

import "io"

// isJournal is false: there is none.
func isJournal(io.Writer) bool { return false }
