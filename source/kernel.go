package source

import (
	"context"
	"fmt"
	"sync"
)

// kernel is the operating system's generator. It is not credited: it is no
// noise source, and what it was seeded with cannot be assessed from here. It
// is mixed in always, so that the result is never worse than it.
type kernel struct {
	mu      sync.Mutex
	instead string // what serves instead of the usual call, and why
	closed  bool
}

func openKernel() (Source, error) { return &kernel{}, nil }

// Info describes the source; the description says so when the usual call fails
// and something else serves instead.
func (k *kernel) Info() Info {
	k.mu.Lock()
	defer k.mu.Unlock()
	info := kernelInfo
	if k.instead != "" {
		info.Description += ", " + k.instead
	}
	return info
}

func (k *kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	return nil
}

// Sample never blocks, not even in early boot.
func (k *kernel) Sample(ctx context.Context, dst []byte) (int, error) {
	k.mu.Lock()
	closed := k.closed
	k.mu.Unlock()
	if closed {
		return 0, fmt.Errorf("%s: %w", NameKernel, ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	dst = dst[:len(dst)/8*8]
	instead, err := kernelRead(dst)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", NameKernel, err)
	}
	k.mu.Lock()
	k.instead = instead
	k.mu.Unlock()
	return len(dst), nil
}
