//go:build unix

package cli

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// isJournal says whether w leads to the journal: the device and inode of its
// file are those that the service manager left in JOURNAL_STREAM
// (systemd.exec(5)). The variable alone says nothing, for a child or a shell
// may have sent its output elsewhere.
func isJournal(w io.Writer) bool {
	stream := os.Getenv("JOURNAL_STREAM")
	f, ok := w.(*os.File)
	if stream == "" || !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && fmt.Sprintf("%d:%d", s.Dev, s.Ino) == stream
}
