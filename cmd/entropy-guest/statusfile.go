package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// report is what run leaves for status. Nothing in it is secret: everybody may read it.
type report struct {
	PID      int          `json:"pid"`
	PIDStart uint64       `json:"pid_start"` // when the process began, as the kernel counts; tells a reused number apart
	Host     string       `json:"host"`
	Label    string       `json:"label"`
	DryRun   bool         `json:"dry_run"`
	Started  time.Time    `json:"started"`
	Updated  time.Time    `json:"updated"`
	Boottime float64      `json:"updated_boottime_seconds"` // the same moment in seconds since boot: ages go by it
	Guest    guest.Status `json:"guest"`
}

// statusFile is where run writes its report. Its methods are for one goroutine.
type statusFile struct {
	path   string
	report report
}

func newStatusFile(path, host, label string, dryRun bool) *statusFile {
	pid := os.Getpid()
	start, _ := proc.Start(pid) // 0 where there is no such count
	return &statusFile{path, report{PID: pid, PIDStart: start, Host: host, Label: label, DryRun: dryRun, Started: time.Now()}}
}

// write replaces the file in one step. It is not synced: after a crash of the machine it would mean nothing.
func (f *statusFile) write(s guest.Status) error {
	f.report.Guest, f.report.Updated, f.report.Boottime = s, time.Now(), proc.SinceBoot().Seconds()
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
	err = errors.Join(err, t.Chmod(0o644), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), f.path)
	}
	if err != nil {
		_ = os.Remove(t.Name())
		return fmt.Errorf("write status file %s: %w", f.path, err)
	}
	return nil
}

// readReport reads what run left.
func readReport(path string) (*report, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, cli.WithHint(fmt.Errorf("entropy-guest run has left no status file: %w", err), "start it, or give its --status-file")
	case err != nil:
		return nil, fmt.Errorf("read status file: %w", err)
	}
	defer f.Close()
	var r report
	if err := json.NewDecoder(io.LimitReader(f, maxStatusFile)).Decode(&r); err != nil {
		return nil, cli.WithHint(fmt.Errorf("read status file %s: %w", path, err), "it was written by another version or another program: restart entropy-guest run")
	}
	if r.PID <= 0 {
		return nil, fmt.Errorf("read status file %s: it names no process", path)
	}
	return &r, nil
}

// lastSeed says how long ago the last seed came, at a time since boot. No step of the wall clock changes it.
func (r *report) lastSeed(sinceBoot time.Duration) string {
	if r.Guest.LastSeedAge == nil {
		return "-"
	}
	age := *r.Guest.LastSeedAge + max(0, sinceBoot.Seconds()-r.Boottime)
	return cli.Duration(time.Duration(age*float64(time.Second))) + " ago"
}

// gone says why the report is out of date, "" if its process lives.
func (r *report) gone() string {
	start, err := proc.Start(r.PID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("process %d is gone", r.PID)
	case err == nil && start != r.PIDStart:
		return fmt.Sprintf("process %d is gone, and another has its number", r.PID)
	}
	return ""
}
