package source

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// kernelRead fills dst by getrandom(2). Before the kernel's generator is
// seeded GRND_NONBLOCK answers EAGAIN, and then GRND_INSECURE (Linux 5.6)
// gives what there is: no credit is claimed for it either way. A kernel
// without GRND_INSECURE answers EINVAL, and /dev/urandom's early output is
// not worth opening a file for.
func kernelRead(dst []byte) error {
	flags := unix.GRND_NONBLOCK
	for len(dst) > 0 {
		n, err := unix.Getrandom(dst, flags)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN) && flags == unix.GRND_NONBLOCK:
			flags = unix.GRND_INSECURE
		case err != nil:
			return fmt.Errorf("getrandom of %d bytes: %w", len(dst), err)
		default:
			dst = dst[n:]
		}
	}
	return nil
}
