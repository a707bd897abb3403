//go:build unix && !linux

package source

// kernelRead fills dst from /dev/urandom. crypto/rand would end the process
// where the system's call fails.
func kernelRead(dst []byte) (instead string, err error) { return "", urandom(dst) }
