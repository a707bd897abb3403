package kernelrng

import (
	"fmt"
	"strconv"
	"strings"
)

// entropyAvail is described in random(4) and
// Documentation/admin-guide/sysctl/kernel.rst.
const entropyAvail = "/proc/sys/kernel/random/entropy_avail"

// parseAvail reads the contents of entropy_avail.
func parseAvail(text string) (bits int, err error) {
	bits, err = strconv.Atoi(strings.TrimSpace(text))
	if err != nil || bits < 0 {
		return 0, fmt.Errorf("read %s: %.20q is no number of bits", entropyAvail, text)
	}
	return bits, nil
}
