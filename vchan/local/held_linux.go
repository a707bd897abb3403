package local

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// A guest can hand over a descriptor whose close(2) it holds up for as long as
// it likes: a file of its own FUSE mount, a TCP socket with SO_LINGER. Nothing
// frees the thread that closes it, so a handshake is given up after a time,
// and users are told to wait who have too many threads of ours.
const (
	heldSlack = time.Second // beyond the socket's own time limits
	heldUser  = 4           // threads that one user may hold, and still connect
	heldAll   = 512         // that all may hold before only root and our own user may connect
)

var (
	errHeldUp  = errors.New("it held up the handshake, a descriptor that it sent cannot be closed")
	errHolding = errors.New("earlier handshakes of this user are still held up")
)

// held counts handshakes that were given up and are not over.
type held struct {
	mu   sync.Mutex
	all  int
	user map[uint32]int
}

// check says whether the user may connect.
func (h *held) check(uid uint32) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	trusted := uid == 0 || uid == uint32(os.Geteuid())
	if h.user[uid] >= heldUser || h.all >= heldAll && !trusted {
		return fmt.Errorf("%w: %d", errHolding, h.user[uid])
	}
	return nil
}

func (h *held) add(uid uint32, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.user == nil {
		h.user = make(map[uint32]int)
	}
	h.all += n
	if h.user[uid] += n; h.user[uid] == 0 {
		delete(h.user, uid)
	}
}
