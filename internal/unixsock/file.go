package unixsock

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// File is the file of a listening socket.
type File struct {
	path   string
	own    os.FileInfo
	keeper keeper
}

// keeper knows who is kept out.
type keeper struct {
	mu      sync.Mutex
	out     map[uint32]time.Time // until when
	fresh   []uint32             // of them, whom the file does not know yet
	most    int                  // that the file bears
	mode    fs.FileMode          // of the file
	written int                  // bytes of our list that the file has
	apply   *time.Timer          // after a write of the list, until the next one may be
	timer   *time.Timer          // until some may come in again
	closed  bool
}

func (k *keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for _, t := range []*time.Timer{k.timer, k.apply} {
		if t != nil {
			t.Stop()
		}
	}
}

// clearStale removes a socket file that nobody listens on.
func clearStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an old socket: %w", err)
	}
	if st.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is no socket: remove it or choose another path", path)
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		_ = c.Close()
		return fmt.Errorf("%w %s: stop it or choose another path", ErrInUse, path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w %s, or cannot be asked: %w", ErrInUse, path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the old socket: %w", err)
	}
	return nil
}

// Remove takes the file away, unless another process has put its own there, and
// lets nobody be kept out any more.
func (f *File) Remove() error {
	f.keeper.close()
	if !f.ours() {
		return nil
	}
	_ = os.Remove(lockName(f.path))
	return os.Remove(f.path)
}

// lockName is the file that is locked while a socket file is made.
func lockName(path string) string { return path + ".lock" }

// ours looks at the time too: the number of a file that was removed is soon
// used again.
func (f *File) ours() bool {
	now, err := os.Lstat(f.path)
	return err == nil && os.SameFile(now, f.own) && now.ModTime().Equal(f.own.ModTime())
}
