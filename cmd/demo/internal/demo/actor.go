package demo

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
)

// actor is one guest over all its processes. Its fields are guarded by the
// stage's mutex.
type actor struct {
	name    string
	child   *child
	now     report // of the process that runs
	before  report // sums over the processes that were killed
	kills   int
	reports uint64
}

// total is the counts over all its processes. A restart counts as a reconnect.
func (a *actor) total() report {
	t := a.now
	t.Seeds += a.before.Seeds
	t.SeedBytes += a.before.SeedBytes
	t.Bytes += a.before.Bytes
	t.Errors += a.before.Errors
	t.Reconnects += a.before.Reconnects
	t.Pause = max(t.Pause, a.before.Pause)
	return t
}

// bury adds up a process that is gone.
func (a *actor) bury() {
	a.before = a.total()
	a.before.Reconnects++
	a.now = report{}
	a.kills++
}

// listen takes in what a guest process reports. A line that the process did not
// finish is dropped.
func (a *actor) listen(mu *sync.Mutex, seen *blocks) func(io.Reader) {
	return func(r io.Reader) {
		lines := json.NewDecoder(r)
		for {
			var line report
			if err := lines.Decode(&line); err != nil {
				if !errors.Is(err, io.EOF) {
					io.Copy(io.Discard, r)
				}
				return
			}
			mu.Lock()
			seen.add(line.Blocks)
			line.Blocks = nil
			a.now = line
			a.reports++
			mu.Unlock()
		}
	}
}
