package source

import (
	"context"
	"fmt"
	"sync/atomic"
)

// kernel is the operating system's generator. It is not credited: it is no
// noise source, and what it was seeded with cannot be assessed from here. It
// is mixed in always, so that the result is never worse than it.
type kernel struct {
	closed atomic.Bool
}

func openKernel() (Source, error) { return &kernel{}, nil }

func (k *kernel) Info() Info { return kernelInfo }

func (k *kernel) Close() error {
	k.closed.Store(true)
	return nil
}

// Sample never blocks, not even in early boot.
func (k *kernel) Sample(ctx context.Context, dst []byte) (int, error) {
	if k.closed.Load() {
		return 0, fmt.Errorf("%s: %w", NameKernel, ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	dst = dst[:len(dst)/8*8]
	if err := kernelRead(dst); err != nil {
		return 0, fmt.Errorf("%s: %w", NameKernel, err)
	}
	return len(dst), nil
}
