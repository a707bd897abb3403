package xendev

import "golang.org/x/sys/unix"

// readable waits in the kernel. A signal, of the runtime's own mostly, starts
// the wait anew.
func readable(fd, millis int) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(p[:], millis); err != unix.EINTR {
			return n > 0 || err != nil // what is wrong with the descriptor, its reader shall say
		}
	}
}
