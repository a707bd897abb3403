package xendev

import "golang.org/x/sys/unix"

// readable waits in the kernel.
func readable(fd, millis int) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p[:], millis)
	return n > 0 || err != nil // a signal came: unknown
}
