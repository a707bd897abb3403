// Package socket is what the carriers over a Unix socket share on the host's
// side: the socket's file, who is let in and how often, and who it is.
//
// For the host everything about a guest is hostile. How often a user's
// processes may connect is bounded before anything else is looked at, and who
// does not stop is kept out by the kernel for a while; nobody is waited for.
package socket

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

var (
	// ErrTooFast is why a user is turned away who connects too often, or of
	// whose channels one was found to keep the host busy for nothing.
	ErrTooFast = errors.New("this user connects too often or keeps the host busy for nothing")

	// ErrNotAllowed is why a user is turned away who may not be a guest.
	ErrNotAllowed = errors.New("this user may not be a guest here")

	// ErrUnsupported is given on systems where no guest can be let in.
	ErrUnsupported = errors.New("listening for guests of this machine needs Linux")
)

// maxPath is the size of sun_path in sockaddr_un less its final zero (unix(7)).
const maxPath = 107

// Check says what is wrong with the path of a socket in an address with a
// scheme, and at which byte; why is empty if it is good.
func Check(scheme, path string) (at int, why string) {
	switch {
	case strings.HasPrefix(path, "//"):
		return 0, fmt.Sprintf("a path begins with one slash; use %s:/run/xentropyd/%s.sock", scheme, scheme)
	case !strings.HasPrefix(path, "/"):
		return 0, fmt.Sprintf("want the absolute path of a Unix socket; use %s:/run/xentropyd/%s.sock", scheme, scheme)
	case strings.HasSuffix(path, "/"):
		return len(path) - 1, "this is a directory; name a socket in it"
	case len(path) > maxPath:
		return maxPath, fmt.Sprintf("path of %d bytes; a Unix socket's has at most %d", len(path), maxPath)
	}
	if i := strings.IndexFunc(path, unicode.IsControl); i >= 0 {
		return i, "control character in a path"
	}
	return 0, ""
}

// Cure says what a guest does about the error of a dial.
func Cure(err error) string {
	switch {
	case Nobody(err):
		return "nobody serves there: start xentropyd, or give --host"
	case errors.Is(err, errPermission):
		return "this user may not write to the host's socket: join its group, or run it as root"
	}
	return ""
}
