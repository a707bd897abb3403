package seedfile

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	// Size of a seed and its file in bytes (Cryptography Engineering, section
	// 9.6.1).
	Size = 64

	// Interval is how often a running generator should Update its file (section
	// 9.6.5).
	Interval = 10 * time.Minute
)

// File is a seed file. Its methods are safe for concurrent use.
type File struct {
	path string
	ops  operations

	mu     sync.Mutex
	lock   *os.File // nil while the directory cannot be written
	closed bool
}

// Open takes the seed file at path for this process; the file itself need not
// exist. It makes the parent directory with mode 0700 if that is missing,
// locks, and removes what a crash left behind.
//
// The error matches ErrInUse when somebody else holds the lock. Where the
// directory cannot be written, on a read-only file system for instance, Open
// succeeds, Load works, and Store tries again and returns the error.
func Open(path string) (*File, error) { return open(path, system{}) }

func open(path string, ops operations) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open seed file %s: %w", path, err)
	}
	f := &File{path: path, ops: ops}
	if err := f.prepare(); errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("open seed file %s: %w", path, err)
	}
	return f, nil
}

// prepare makes the directory, locks, and clears away what a crash left behind.
func (f *File) prepare() error {
	if err := f.ops.mkdir(filepath.Dir(f.path)); err != nil {
		return err
	}
	name := f.path + ".lock"
	lock, err := f.ops.lock(name)
	if errors.Is(err, ErrInUse) {
		return fmt.Errorf("%w: %s is locked%s: stop the other daemon or give this one another seed file",
			err, name, holder(name))
	}
	if err != nil {
		return err
	}
	if err := f.removeTemporary(); err != nil {
		lock.Close()
		return err
	}
	f.lock = lock
	return nil
}

// Path returns the absolute path.
func (f *File) Path() string { return f.path }

// Load returns the seed: 64 bytes, which the caller uses once, replaces by
// Store or Update, and wipes. The error matches fs.ErrNotExist if there is no
// seed yet, and is a *RefusedError if there is one that must not be used.
func (f *File) Load() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, fmt.Errorf("load seed file %s: %w", f.path, ErrClosed)
	}
	file, err := openSeed(f.path)
	if err != nil {
		return nil, f.explain("load", err)
	}
	defer file.Close()
	info, err := file.Stat() // of the open file: the name may lead elsewhere by now
	if err != nil {
		return nil, f.explain("load", err)
	}
	if err := checkForm(info); err != nil {
		return nil, f.explain("load", err)
	}
	if err := checkOwner(info); err != nil {
		return nil, f.explain("load", err)
	}
	seed := make([]byte, Size)
	if _, err := io.ReadFull(file, seed); err != nil {
		clear(seed)
		return nil, f.explain("load", err)
	}
	if allZero(seed) {
		return nil, &RefusedError{Path: f.path, Reason: ErrAllZero}
	}
	return seed, nil
}

// checkForm refuses what cannot be a seed.
func checkForm(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return &RefusedError{Reason: ErrNotRegular, Detail: info.Mode().Type().String()}
	}
	if info.Size() != Size {
		return &RefusedError{Reason: ErrSize, Detail: strconv.FormatInt(info.Size(), 10) + " bytes"}
	}
	return nil
}

// Store replaces the seed and returns when the new one is on the disk: nil
// means that no restart will find the old one. After an error either is there,
// whole; treat the seed as not stored. The error is a *RefusedError if what is
// there is no seed: that is left as it is. The caller wipes the seed.
func (f *File) Store(seed []byte) error {
	if len(seed) != Size {
		return &RefusedError{Path: f.path, Reason: ErrSize, Detail: strconv.Itoa(len(seed)) + " bytes", given: true}
	}
	if allZero(seed) {
		return &RefusedError{Path: f.path, Reason: ErrAllZero, given: true}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("store seed file %s: %w", f.path, ErrClosed)
	}
	if f.lock == nil {
		// What was in the way at Open, a read-only file system for instance,
		// may have gone.
		if err := f.prepare(); err != nil {
			return f.explain("store", err)
		}
	}
	if err := f.replace(seed); err != nil {
		return f.explain("store", err)
	}
	return nil
}

// Update draws a new seed from r, stores it, and wipes it.
func (f *File) Update(r io.Reader) error {
	seed := make([]byte, Size)
	defer clear(seed)
	if _, err := io.ReadFull(r, seed); err != nil {
		return fmt.Errorf("draw a new seed for %s: %w", f.path, err)
	}
	return f.Store(seed)
}

// Close gives the lock back. The seed stays.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.lock == nil {
		return nil
	}
	err := f.lock.Close() // which unlocks
	f.lock = nil
	return err
}

// explain names the deed and the file in an error, unless it does so itself.
func (f *File) explain(deed string, err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) {
		refused.Path = f.path
		return refused
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s seed file: %w", deed, err)
	}
	return fmt.Errorf("%s seed file %s: %w", deed, f.path, err)
}

func allZero(b []byte) bool {
	return subtle.ConstantTimeCompare(b, make([]byte, len(b))) == 1
}
