package main

import (
	"fmt"
	"strconv"
	"strings"
)

// maxRead bounds read -n: 1 TiB.
const maxRead = 1 << 40

// parseSize takes a number of bytes: "32", "64k" (1,024 bytes each), "1M",
// "2G".
func parseSize(text string) (int64, error) {
	shift := 0
	digits := text
	if n := len(text); n > 0 {
		if i := strings.IndexByte("kMG", text[n-1]); i >= 0 {
			shift, digits = 10*(i+1), text[:n-1]
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no number of bytes; use digits, with k, M or G for 1024, 1024² or 1024³", text)
	case n < 1:
		return 0, fmt.Errorf("%q: at least 1 byte", text)
	case n > maxRead>>shift:
		return 0, fmt.Errorf("%q: at most 1024G", text)
	}
	return int64(n) << shift, nil
}
