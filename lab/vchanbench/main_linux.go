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
