//go:build !linux

// Command lab boots real Xen in QEMU and runs xentropyd's scenarios there. It runs on Linux alone.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "lab: runs on Linux alone: it unpacks Debian packages and holds QEMU by Linux's means")
	os.Exit(1)
}
