// Command vchanbench is our end of the lab's benchmark, in dom0 and in the guest; cpeer is the C library's.
//
//	vchanbench send|recv server|client DOMID PATH BYTES LEFT RIGHT MOST   as cpeer with --plain, LEFT and RIGHT being orders
//	vchanbench time PROGRAM [ARGUMENT ...]                                how long a program runs, from fork to its end
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	err := errors.New("see the package's comment for how to use it")
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "send", "recv":
			err = bulk(os.Args[1:])
		case "time":
			err = clock(os.Args[2:])
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "vchanbench: %v\n", err)
		os.Exit(1)
	}
}
