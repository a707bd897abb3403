package main

import (
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/internal/seedfile"
)

// seedFilePatience is how long the start waits for the seed file to be opened,
// and the end for it to be closed. Our own choice: enough for any file system
// that answers, and short enough not to be missed where one does not.
const seedFilePatience = time.Second

// seeds is the seed file, which is opened in the background where its file
// system is slow or does not answer at all: that is no reason not to start. It
// is a host.SeedStore, whose methods wait until it is open.
type seeds struct {
	path   string
	opened chan struct{} // closed when file and err are set
	file   *seedfile.File
	err    error
}

// openSeeds opens the seed file. There is an error only if it came in time; a
// later one is given by Load and Store.
func openSeeds(path string, open func(string) (*seedfile.File, error), log *slog.Logger) (*seeds, error) {
	s := &seeds{path: path, opened: make(chan struct{})}
	go func() {
		defer close(s.opened)
		s.file, s.err = open(path)
	}()
	late := time.NewTimer(seedFilePatience)
	defer late.Stop()
	select {
	case <-s.opened:
		if s.err != nil {
			return nil, s.err
		}
	case <-late.C:
		log.Warn("the file system of the seed file does not answer; starting without waiting for it", "seed_file", path)
	}
	return s, nil
}

// Path returns the path as it was configured.
func (s *seeds) Path() string { return s.path }

// Load waits for the seed file and loads.
func (s *seeds) Load() ([]byte, error) {
	if <-s.opened; s.err != nil {
		return nil, s.err
	}
	return s.file.Load()
}

// Store waits for the seed file and stores.
func (s *seeds) Store(seed []byte) error {
	if <-s.opened; s.err != nil {
		return s.err
	}
	return s.file.Store(seed)
}

// Close gives the lock back. Where the file system does not answer, the end of
// the process has to do that, and whoever waited for a seed to be kept has said
// so.
func (s *seeds) Close() error {
	closed := make(chan error, 1)
	go func() {
		if <-s.opened; s.file == nil {
			closed <- nil
			return
		}
		closed <- s.file.Close()
	}()
	late := time.NewTimer(seedFilePatience)
	defer late.Stop()
	select {
	case err := <-closed:
		return err
	case <-late.C:
		return nil
	}
}
