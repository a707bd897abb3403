package qemu

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Pair makes a connected pair of sockets: one for the lab, one for QEMU's -chardev socket,fd=.
func Pair() (ours net.Conn, qemus *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "lab")
	defer f.Close()
	qemus = os.NewFile(uintptr(fds[1]), "qemu")
	if ours, err = net.FileConn(f); err != nil {
		qemus.Close()
		return nil, nil, fmt.Errorf("use a pair of sockets: %w", err)
	}
	return ours, qemus, nil
}
