package kernelrng

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/getrandom"
)

// EntropyAvail returns the entropy in bits that the kernel counts. Since Linux
// 5.18 that is 256 for ever once the generator is seeded.
func EntropyAvail() (bits int, err error) {
	text, err := os.ReadFile(entropyAvail)
	if err != nil {
		return 0, fmt.Errorf("read the kernel's entropy count: %w (mount proc on /proc first)", err)
	}
	return parseAvail(string(text))
}

// Ready says whether the kernel's generator is seeded, so that getrandom(2)
// does not block. It does not wait: where the call does not return, in a
// sandbox for instance, that is an error.
func Ready() (bool, error) {
	var b [1]byte
	defer clear(b[:])
	for {
		_, err := getrandom.Read(b[:], unix.GRND_NONBLOCK)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, fmt.Errorf("ask the kernel's generator whether it is seeded: getrandom: %w", err)
		}
	}
}
