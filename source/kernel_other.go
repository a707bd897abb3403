//go:build !unix

package source

import "crypto/rand"

// kernelRead fills dst from the system's generator, as crypto/rand finds it.
// That would end the process if the generator failed; Windows' is documented
// not to, and the others have nothing else to ask.
func kernelRead(dst []byte) (instead string, err error) {
	_, err = rand.Read(dst)
	return "", err
}
