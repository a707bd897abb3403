package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/proc"
)

const (
	defaultStatusFile = "/run/entropy-guest/status.json"
	// maxStatusFile bounds what status reads; a real one has about 4 KiB.
	maxStatusFile = 1 << 20
)

// reportFormat is the status file's. It changes with what a field is called or
// means, so that no version takes another's file for its own.
const reportFormat = 2

// report is what run leaves for status. Nothing in it is secret: everybody may
// read it.
type report struct {
	Format    int          `json:"format"`
	PID       int          `json:"pid"` // as run's own namespace counts; for people
	Host      string       `json:"host"`
	Label     string       `json:"label"`
	DryRun    bool         `json:"dry_run"`
	Started   time.Time    `json:"started"`
	Updated   time.Time    `json:"updated"`
	StartedAt float64      `json:"started_boottime_seconds"` // the same moments in seconds since boot: ages go by these
	UpdatedAt float64      `json:"updated_boottime_seconds"`
	Guest     guest.Status `json:"guest"`

	alive bool // whoever wrote it holds it still
}

// statusFile is where run writes its report. Its methods are for one goroutine.
type statusFile struct {
	path   string
	report report
	held   *os.File // the file as it is now: see claim; nil where there is no such thing
}

func newStatusFile(path, host, label string, dryRun bool) *statusFile {
	return &statusFile{path: path, report: report{
		Format: reportFormat, PID: os.Getpid(), Host: host, Label: label, DryRun: dryRun,
		Started: time.Now(), StartedAt: proc.SinceBoot().Seconds(),
	}}
}

// begin writes a file's first report. One that cannot be written, or is another
// run's, is an error if it was asked for; else the run goes on without, and the
// file is nil.
func begin(f *statusFile, asked bool, log *slog.Logger) (*statusFile, error) {
	err := f.write(guest.Status{})
	if err == nil {
		return f, nil
	}
	if asked {
		return nil, err
	}
	log.Warn("no status file: entropy-guest status will not see this process", "error", err)
	return nil, nil
}

// errClaimed is given by put when a living process has the status file.
var errClaimed = errors.New("in use")

// inUse is the error of a file that another run has.
func (f *statusFile) inUse() error {
	who := "another entropy-guest run"
	if r, err := readReport(f.path); err == nil {
		who = fmt.Sprintf("%s, process %d", who, r.PID)
	}
	err := fmt.Errorf("status file %s: %w by %s", f.path, errClaimed, who)
	return cli.WithHint(err, "stop that one, or give another --status-file")
}

// write replaces the file in one step. It is not synced: after a crash of the
// machine it would mean nothing. It wraps errClaimed, and leaves the file
// alone, when another run has it.
func (f *statusFile) write(s guest.Status) error {
	f.report.Guest, f.report.Updated = s, time.Now()
	f.report.UpdatedAt = proc.SinceBoot().Seconds()
	var b bytes.Buffer
	if err := cli.JSON(&b, f.report); err != nil {
		return fmt.Errorf("write status file %s: %w", f.path, err)
	}
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the status file's directory: %w (give --status-file, or run as root)", err)
	}
	t, err := os.CreateTemp(dir, "."+filepath.Base(f.path)+"-*")
	if err != nil {
		return fmt.Errorf("write status file %s: %w", f.path, err)
	}
	_, err = t.Write(b.Bytes())
	err = errors.Join(err, t.Chmod(0o644))
	if err == nil {
		err = claim(t) // before anybody can see it
	}
	if !keepOpen {
		err = errors.Join(err, t.Close())
	}
	if err == nil {
		err = put(t.Name(), f.path, f.held)
	}
	if err != nil {
		_ = t.Close()
		_ = os.Remove(t.Name())
		if errors.Is(err, errClaimed) {
			return f.inUse()
		}
		return fmt.Errorf("write status file %s: %w", f.path, err)
	}
	f.close() // the one that was replaced
	if keepOpen {
		f.held = t
	}
	return nil
}

// close lets go of the file: from now on it tells of a process that is gone.
func (f *statusFile) close() {
	if f != nil && f.held != nil {
		_ = f.held.Close()
		f.held = nil
	}
}

// readReport reads what run left.
func readReport(path string) (*report, error) {
	for {
		r, replaced, err := readOnce(path)
		if err != nil || !replaced {
			return r, err
		}
	}
}

// readOnce reads the file that is there now. It is replaced when it was let go
// of because there is a newer one: nothing follows from that.
func readOnce(path string) (r *report, replaced bool, err error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("entropy-guest run has left no status file: %w", err)
		return nil, false, cli.WithHint(err, "start it, or give its --status-file")
	case err != nil:
		return nil, false, fmt.Errorf("read status file: %w", err)
	}
	defer f.Close()
	r = new(report)
	other := func(err error) error {
		err = fmt.Errorf("read status file %s: %w", path, err)
		return cli.WithHint(err, "it was written by another version or another program: restart entropy-guest run")
	}
	if err := json.NewDecoder(io.LimitReader(f, maxStatusFile)).Decode(r); err != nil {
		return nil, false, other(err)
	}
	if r.Format != reportFormat {
		return nil, false, other(fmt.Errorf("format %d, want %d", r.Format, reportFormat))
	}
	if r.PID <= 0 {
		return nil, false, fmt.Errorf("read status file %s: it names no process", path)
	}
	if r.alive, err = claimed(f); err != nil {
		return nil, false, fmt.Errorf("read status file %s: %w", path, err)
	}
	if r.alive {
		return r, false, nil
	}
	was, err := f.Stat()
	if err != nil {
		return nil, false, fmt.Errorf("read status file %s: %w", path, err)
	}
	is, err := os.Stat(path)
	return r, err == nil && !os.SameFile(was, is), nil
}

// lastSeed says how long ago the last seed came, at a time since boot. No step
// of the wall clock changes it.
func (r *report) lastSeed(sinceBoot time.Duration) string {
	if r.Guest.Host.LastSeedAge == nil {
		return "-"
	}
	age := *r.Guest.Host.LastSeedAge + max(0, sinceBoot.Seconds()-r.UpdatedAt)
	return cli.Duration(time.Duration(age*float64(time.Second))) + " ago"
}

// ago shows how long ago something was that was at so many seconds since boot.
func ago(sinceBoot time.Duration, at float64) string {
	return cli.Duration(max(0, sinceBoot-time.Duration(at*float64(time.Second)))) + " ago"
}

// gone says why the report is out of date, "" if its process lives.
func (r *report) gone() string {
	if r.alive {
		return ""
	}
	return fmt.Sprintf("process %d is gone", r.PID)
}
