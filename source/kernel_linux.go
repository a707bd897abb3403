package source

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	bounded "github.com/xentropyd/xentropyd/internal/getrandom"
)

// getrandom is getrandom(2) that does not wait, in a variable for tests.
var getrandom = bounded.Read

// kernelRead fills dst by getrandom(2), else from /dev/urandom, and says what
// serves instead and why. It does not block, and no credit is claimed for it
// either way.
//
// Before the kernel's generator is seeded GRND_NONBLOCK answers EAGAIN, and
// then GRND_INSECURE gives what there is. A kernel before Linux 5.6 answers
// EINVAL to that, one before 3.17 ENOSYS to all, a sandbox often EPERM, and one
// whose supervisor hangs nothing at all.
func kernelRead(dst []byte) (instead string, err error) {
	err = getrandomAll(dst)
	if err == nil {
		return "", nil
	}
	if second := urandom(dst); second != nil {
		return "", fmt.Errorf("%w; %w", err, second)
	}
	return fmt.Sprintf("by %s, because: %v", urandomPath, err), nil
}

func getrandomAll(dst []byte) error {
	flags := unix.GRND_NONBLOCK
	for len(dst) > 0 {
		n, err := getrandom(dst, flags)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN) && flags == unix.GRND_NONBLOCK:
			flags = unix.GRND_INSECURE
		case err != nil:
			return fmt.Errorf("getrandom: %w", err)
		default:
			dst = dst[n:]
		}
	}
	return nil
}
