// Package instance makes names for a daemon's run: new at each start, and no
// secret.
package instance

import (
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/internal/gather"
)

// Size is that of a name in bytes.
const Size = 16

// bootID is new at each boot (random(4)).
const bootID = "/proc/sys/kernel/random/boot_id"

var made atomic.Uint64

// New returns a name that no other run has, nor another call in this one. It
// never waits: where the kernel's generator has no seed yet, or cannot be
// asked, there are the boot's number, the process's, the clocks and how long it
// takes to read them.
func New() [Size]byte { return draw(gather.NewKernel(nil, slog.New(slog.DiscardHandler)).Fill) }

func draw(kernel func([]byte)) (name [Size]byte) {
	h := sha256.New()
	var b [32]byte
	kernel(b[:])
	h.Write(b[:])
	number := func(n uint64) { h.Write(binary.LittleEndian.AppendUint64(nil, n)) }
	number(rand.Uint64()) // what the kernel gave the process at its start (AT_RANDOM, getauxval(3)), used up to here
	number(rand.Uint64())
	number(made.Add(1))
	number(uint64(os.Getpid()))
	id, _ := os.ReadFile(bootID)
	h.Write(id)
	start := time.Now()
	number(uint64(start.UnixNano()))
	for range 64 {
		number(uint64(time.Since(start)))
	}
	copy(name[:], h.Sum(nil))
	return name
}
