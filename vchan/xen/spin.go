package xen

import (
	"os"
	"strconv"
)

func spinLooks() int {
	n, err := strconv.Atoi(os.Getenv("DEVSPIN"))
	if err != nil {
		return 10000
	}
	return n
}
