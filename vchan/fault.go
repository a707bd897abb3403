package vchan

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Shared memory can go away under its user: a page of tmpfs that cannot be had
// back, a mapping that was revoked. Go ends the process for such a fault,
// unless the goroutine asked for a panic instead (debug.SetPanicOnFault).
// Everything that touches the memory asks for it, between enter and leave, and
// a fault then ends one Conn. It is a second line: a back end is to see that
// there are no faults.

// faulted takes the panic of a fault, and gives nil for nil. Any other panic
// goes on.
func faulted(r any) error {
	if r == nil {
		return nil
	}
	if e, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	}); ok {
		return fmt.Errorf("%w: %w", ErrFault, e)
	}
	panic(r)
}

// guarded runs f, which touches the memory, and gives the fault that ended it.
func guarded(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if fault := faulted(recover()); fault != nil {
			err = fault
		}
	}()
	return f()
}
