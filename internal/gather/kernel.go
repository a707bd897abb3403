package gather

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/xentropyd/xentropyd/source"
)

// Kernel is the operating system's RNG as something that is mixed in wherever
// it answers and needed nowhere: it claims no credit, and sandboxes and old
// kernels refuse it. Its methods are safe for concurrent use.
type Kernel struct {
	read func([]byte) error
	log  *slog.Logger
	once sync.Once
}

// NewKernel returns the RNG that read asks, with nil this system's. read fills
// a slice whose length is a multiple of 8 and does not block. The first failure
// is logged.
func NewKernel(read func([]byte) error, log *slog.Logger) *Kernel {
	if read == nil {
		read = readSystem
	}
	return &Kernel{read: read, log: log}
}

// Fill puts random bytes into b, whose length must be a multiple of 8, if the
// kernel gives any; else b may hold anything.
func (k *Kernel) Fill(b []byte) {
	if err := k.read(b); err != nil {
		k.once.Do(func() {
			k.log.Warn("the kernel's random number generator gives nothing; going on without it", "error", err)
		})
	}
}

// readSystem does not block, not even in early boot.
func readSystem(b []byte) error {
	found, err := source.Find(source.NameKernel)
	if err != nil {
		return err
	}
	defer found[0].Close()
	for len(b) > 0 {
		n, err := found[0].Sample(context.Background(), b)
		if err != nil {
			return fmt.Errorf("mix in the kernel's RNG: %w", err)
		}
		b = b[n:]
	}
	return nil
}
