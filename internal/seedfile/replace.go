package seedfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// operations are the steps that can fail, so that tests can make each fail
// alone.
type operations interface {
	mkdir(dir string) error
	lock(path string) (*os.File, error)
	create(path string) (temporary, error)
	rename(from, to string) error
	syncDir(dir string) error
}

// temporary is the new file before it has its name.
type temporary interface {
	io.WriteCloser
	Sync() error
}

// replace writes the seed beside the file and renames it over the file: old or
// new, never half.
func (f *File) replace(seed []byte) (err error) {
	// A name that was given by mistake must not cost what is there.
	switch info, err := os.Lstat(f.path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := checkForm(info); err != nil {
			return err
		}
	}
	if err := f.removeTemporary(); err != nil {
		return err
	}
	name := f.temporaryName()
	file, err := f.ops.create(name)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// Best effort: the error that counts is the first, and the next
			// start removes it too.
			_ = f.removeTemporary()
		}
	}()
	n, err := file.Write(seed)
	if err == nil && n < len(seed) {
		err = io.ErrShortWrite
	}
	if err == nil {
		// Before the rename, or a crash could leave the new name with no
		// content.
		err = file.Sync()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err := f.ops.rename(name, f.path); err != nil {
		return err
	}
	// The rename lasts only when the directory is on the disk as well.
	return f.ops.syncDir(filepath.Dir(f.path))
}

// temporaryName is fixed, which the lock allows: what a crash leaves behind is
// known by its name.
func (f *File) temporaryName() string { return f.path + ".new" }

func (f *File) removeTemporary() error {
	if err := os.Remove(f.temporaryName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what is left of an earlier attempt: %w", err)
	}
	return nil
}

// system is the operating system.
type system struct{}

func (system) mkdir(dir string) error { return os.MkdirAll(dir, 0o700) }

func (system) lock(path string) (*os.File, error) { return lockFile(path) }

func (system) create(path string) (temporary, error) {
	// O_EXCL: nobody has put a link there.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	// The umask may have taken our own rights away.
	if err := file.Chmod(0o600); err != nil {
		file.Close()
		os.Remove(path)
		return nil, err
	}
	return file, nil
}

func (system) rename(from, to string) error { return os.Rename(from, to) }

func (system) syncDir(dir string) error { return syncDir(dir) }
