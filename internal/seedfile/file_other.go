//go:build !unix

package seedfile

import (
	"io/fs"
	"os"
)

// openSeed opens the file, unless the name is a link.
func openSeed(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &RefusedError{Path: path, Reason: ErrNotRegular, Detail: info.Mode().Type().String()}
	}
	return os.Open(path)
}

// checkOwner has nothing to go by: here access is not a matter of owner and
// mode.
func checkOwner(fs.FileInfo) error { return nil }

// syncDir does nothing: directories cannot be synced here.
func syncDir(string) error { return nil }
