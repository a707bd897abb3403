//go:build !linux

package source

import "crypto/rand"

// kernelRead fills dst from the system's generator, as crypto/rand finds it.
func kernelRead(dst []byte) error {
	_, err := rand.Read(dst)
	return err
}
