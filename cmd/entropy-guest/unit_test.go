package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/guest/kernelrng"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/proc"
	"github.com/xentropyd/xentropyd/transport/local"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "32": 32, "007": 7, "1k": 1 << 10, "64k": 64 << 10, "3M": 3 << 20, "2G": 2 << 30,
		"1024G": maxRead, "1099511627776": maxRead,
	} {
		n, err := parseSize(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, n, text)
	}
	for _, text := range []string{
		"", "k", "0", "0M", "-1", "+1", "1.5k", "1K", "1kk", "0x10", " 1", "1 k", "1025G",
		"1099511627777", "1073741825k",
		"9223372036854775807", "9223372036854775808", "9007199254740993k", "18446744073709551616",
	} {
		_, err := parseSize(text)
		require.Error(t, err, text)
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1", "64k", "1024G", "1025G", "-1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseSize(text)
		if err == nil && (n < 1 || n > maxRead) {
			t.Fatalf("%q gave %d", text, n)
		}
	})
}

// counting gives 0, 1, 2, … and remembers the buffers that it filled.
type counting struct {
	next    byte
	buffers [][]byte
}

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.next
		c.next++
	}
	c.buffers = append(c.buffers, p)
	return len(p), nil
}

func TestPrint(t *testing.T) {
	for _, n := range []int64{1, 31, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
		var raw, text bytes.Buffer
		r := new(counting)
		require.NoError(t, printRaw(t.Context(), &raw, r, n))
		require.EqualValues(t, n, raw.Len())
		for _, b := range r.buffers {
			require.LessOrEqual(t, len(b), chunk)
			require.Equal(t, make([]byte, len(b)), b, "the buffer is wiped")
		}
		require.NoError(t, printHex(t.Context(), &text, new(counting), n))
		line, ok := strings.CutSuffix(text.String(), "\n")
		require.True(t, ok)
		back, err := hex.DecodeString(line)
		require.NoError(t, err)
		require.Equal(t, raw.Bytes(), back)
	}
}

// failing is a Writer that fails after some bytes, and keeps what it was given.
type failing struct {
	left  int
	given [][]byte
}

func (f *failing) Write(p []byte) (int, error) {
	f.given = append(f.given, p)
	if f.left -= len(p); f.left < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

func TestPrintFails(t *testing.T) {
	for _, print := range []func(context.Context, io.Writer, io.Reader, int64) error{printRaw, printHex} {
		w := &failing{left: 3 * chunk}
		require.ErrorIs(t, print(t.Context(), w, new(counting), 10*chunk), syscall.ENOSPC)
		for _, b := range w.given {
			require.Equal(t, make([]byte, len(b)), b, "wiped on the way out too")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		cancel(stop)
		require.ErrorIs(t, print(ctx, io.Discard, new(counting), 1), stop)
		require.ErrorIs(t, print(t.Context(), io.Discard, strings.NewReader("short"), 6), io.ErrUnexpectedEOF)
	}
}

func TestHostAddress(t *testing.T) {
	t.Setenv(hostEnv, "")
	a, err := hostAddress(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "local:"+local.DefaultSocket, a)
	t.Setenv(hostEnv, "local:/env")
	a, err = hostAddress(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "local:/env", a)
	a, err = hostAddress(t.Context(), "local:/flag")
	require.NoError(t, err)
	require.Equal(t, "local:/flag", a)
	_, err = hostAddress(t.Context(), "carrier-pigeon:")
	require.ErrorContains(t, err, "flag --host")
	t.Setenv(hostEnv, "nowhere")
	_, err = hostAddress(t.Context(), "")
	require.ErrorContains(t, err, hostEnv)
}

func TestHintsOfTheKernel(t *testing.T) {
	require.Contains(t, cli.Hint(noKernel(&kernelrng.PrivilegeError{Op: "x"})), "--dry-run")
	require.Contains(t, cli.Hint(noKernel(kernelrng.ErrUnsupported)), "Linux")
	require.Empty(t, cli.Hint(noKernel(syscall.EIO)))
}

// seeds is the status of a guest that took so many.
func seeds(n uint64) guest.Status { return guest.Status{Host: guest.HostStatus{Seeds: n}} }

func TestStatusFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "status.json")
	f := newStatusFile(path, "local:/x", "me", true)
	require.NoError(t, f.write(guest.Status{Host: guest.HostStatus{Seeds: 7, Acknowledged: 6}}))
	r, err := readReport(path)
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), r.PID)
	require.EqualValues(t, 7, r.Guest.Host.Seeds)
	require.EqualValues(t, 6, r.Guest.Host.Acknowledged)
	require.True(t, r.DryRun)
	require.Empty(t, r.gone(), "that is us")

	// Replaced, never written into: who has the old one open reads on.
	old, err := os.Open(path)
	require.NoError(t, err)
	defer old.Close()
	require.NoError(t, f.write(seeds(8)))
	b, err := io.ReadAll(old)
	require.NoError(t, err)
	require.Contains(t, string(b), `"seeds": 7`)
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, files, 1, "no temporary file stays")

	for _, bad := range []string{
		"", "{", `{"format": 2, "pid": 0}`, `{"format": 2, "pid": -3}`, `{"format": 2, "pid": "x"}`, "\x00\x00",
		`{"pid": 1, "guest": {"seeds": 3}}`, `{"format": 3, "pid": 1}`, // of an earlier version, and a later one
	} {
		require.NoError(t, os.WriteFile(path, []byte(bad), 0o644))
		_, err := readReport(path)
		require.ErrorContains(t, err, path, bad)
	}
}

// TestSignOfLife: a status file that is replaced all the time never looks like
// that of a dead process; one that is let go of does.
func TestSignOfLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	f := newStatusFile(path, "", "", false)
	require.NoError(t, f.write(guest.Status{}))
	stop, done := make(chan bool), make(chan error)
	go func() {
		var err error
		for n := uint64(0); err == nil; n++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
				err = f.write(seeds(n))
			}
		}
		done <- err
	}()
	for range 500 {
		r, err := readReport(path)
		require.NoError(t, err)
		require.Empty(t, r.gone())
	}
	close(stop)
	require.NoError(t, <-done)
	f.close()
	r, err := readReport(path)
	require.NoError(t, err)
	if keepOpen {
		require.Equal(t, fmt.Sprintf("process %d is gone", os.Getpid()), r.gone())
	}
}

// TestStatusFileIsOneRuns: a second run does not take a living one's file, nor
// does the first take back what became another's.
func TestStatusFileIsOneRuns(t *testing.T) {
	if !keepOpen {
		t.Skip("a status file says nothing of its owner's life on this system")
	}
	path := filepath.Join(t.TempDir(), "status.json")
	seen := func() uint64 {
		r, err := readReport(path)
		require.NoError(t, err)
		require.Empty(t, r.gone())
		return r.Guest.Host.Seeds
	}
	refused := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, errClaimed)
		require.ErrorContains(t, err, fmt.Sprintf("process %d", os.Getpid()))
		require.ErrorContains(t, err, path)
		require.Contains(t, cli.Hint(err), "--status-file")
	}
	a, b := newStatusFile(path, "", "a", false), newStatusFile(path, "", "b", false)
	defer a.close()
	defer b.close()
	require.NoError(t, a.write(seeds(1)))
	refused(b.write(seeds(2)))
	var log strings.Builder
	to := slog.New(slog.NewTextHandler(&log, nil))
	_, err := begin(b, true, to)
	refused(err)
	without, err := begin(b, false, to)
	require.NoError(t, err, "it was not asked for")
	require.Nil(t, without)
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), path)
	require.NoError(t, a.write(seeds(3)), "its own")
	require.EqualValues(t, 3, seen())

	require.NoError(t, os.Remove(path))
	require.NoError(t, b.write(seeds(4)))
	refused(a.write(seeds(5)))
	require.EqualValues(t, 4, seen())

	b.close()
	require.NoError(t, a.write(seeds(6)), "the other has ended")
	require.EqualValues(t, 6, seen())
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, files, 1, "no temporary file stays")
}

// TestStatusFileIsOneOfManys has many start at once, where a dead one left its
// file and where none did: one gets it.
func TestStatusFileIsOneOfManys(t *testing.T) {
	if !keepOpen {
		t.Skip("a status file says nothing of its owner's life on this system")
	}
	path := filepath.Join(t.TempDir(), "status.json")
	for round := range 50 {
		if round%2 == 0 {
			require.NoError(t, os.RemoveAll(path))
		}
		const many = 8
		files := make([]*statusFile, many)
		errs := make(chan error, many)
		start := make(chan struct{})
		for i := range files {
			files[i] = newStatusFile(path, "", "", false)
			go func() {
				<-start
				errs <- files[i].write(guest.Status{})
			}()
		}
		close(start)
		got := 0
		for range many {
			if err := <-errs; err == nil {
				got++
			} else {
				require.ErrorIs(t, err, errClaimed)
			}
		}
		require.Equal(t, 1, got)
		for _, f := range files {
			f.close()
		}
	}
}

func TestStanding(t *testing.T) {
	well := report{Guest: guest.Status{
		Host:   guest.HostStatus{Seeds: 2, Connected: true},
		Kernel: guest.KernelStatus{Fed: true, Seeds: 2, Failures: 1, LastFailure: "busy"},
	}}
	ready := kernelStatus{Ready: true}
	for name, c := range map[string]struct {
		change func(r *report)
		kernel kernelStatus
		exit   int
		why    string
	}{
		"well":             {func(*report) {}, ready, cli.ExitOK, ""},
		"kernel not known": {func(*report) {}, kernelStatus{Error: "x"}, cli.ExitOK, ""},
		"kernel wants":     {func(*report) {}, kernelStatus{}, cli.ExitNotSeeded, "wants more"},
		"a dry run's not":  {func(r *report) { r.DryRun = true }, kernelStatus{}, cli.ExitOK, ""},
		"never fed": {
			func(r *report) { r.Guest.Kernel = guest.KernelStatus{} },
			ready, cli.ExitNotSeeded, "no seed",
		},
		"cannot be fed": {
			func(r *report) { r.Guest.Kernel.Seeds, r.Guest.Kernel.Fed = 0, false },
			ready, cli.ExitNotSeeded, "busy",
		},
		"dry, fed nothing": {
			func(r *report) { r.DryRun, r.Guest.Kernel = true, guest.KernelStatus{} },
			ready, cli.ExitOK, "",
		},
		"dry, no seed": {
			func(r *report) { r.DryRun, r.Guest.Host.Seeds = true, 0 },
			ready, cli.ExitNotSeeded, "no seed",
		},
		"last feed failed": {func(r *report) { r.Guest.Kernel.Fed = false }, ready, cli.ExitDegraded, "busy"},
		"host away": {
			func(r *report) { r.Guest.Host.Connected = false },
			ready, cli.ExitDegraded, "not connected any more",
		},
		"host degraded": {
			func(r *report) { r.Guest.Host.Degraded = true },
			ready, cli.ExitDegraded, "no healthy noise source",
		},
	} {
		r := well
		c.change(&r)
		exit, why := r.standing(c.kernel)
		assert.Equal(t, c.exit, exit, name)
		assert.Contains(t, why, c.why, name)
		assert.Equal(t, exit == cli.ExitOK, why == "", name)
	}
}

func TestStatusFileFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "status.json")
	require.NoError(t, os.Mkdir(path, 0o755)) // a directory stands in the way
	require.ErrorContains(t, newStatusFile(path, "", "", false).write(guest.Status{}), path)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "no temporary file stays")
}

func FuzzReadReport(f *testing.F) {
	f.Add([]byte(`{"format": 2, "pid": 1, "guest": {"host": {"seeds": 3}, "own": {"sources": [{"name": "x"}]}}}`))
	f.Add([]byte("{"))
	path := filepath.Join(f.TempDir(), "status.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := readReport(path)
		if err != nil {
			return
		}
		var out strings.Builder
		if err := (overview{Run: r}).print(&out, proc.SinceBoot()); err != nil {
			t.Fatal(err)
		}
		for _, c := range out.String() {
			if c < ' ' && c != '\n' {
				t.Fatalf("control character %q on the terminal", c)
			}
		}
	})
}

func TestStatusFieldsOfTheFile(t *testing.T) {
	r := &report{PID: 42, Host: "local:/x\x1b[2J", StartedAt: 400, UpdatedAt: 3998, Guest: guest.Status{
		Host: guest.HostStatus{
			Connected: true, Degraded: true, Instance: "abcd", Generation: 5, Generations: 4, Reconnects: 2, Refused: 1,
			Seeds: 3, Acknowledged: 3, SeedBytes: 192, CreditedBits: 768, LastSeedAge: new(1.0),
			LastError: "host closed the channel",
		},
		Kernel: guest.KernelStatus{Seeds: 2, CreditedBits: 512, Failures: 1, LastFailure: "out of order"},
	}}
	var out strings.Builder
	o := overview{Kernel: kernelStatus{EntropyAvail: 256, Ready: true}, Run: r}
	require.NoError(t, o.print(&out, 4000*time.Second))
	for _, want := range []string{
		"entropy_avail 256", "process 42, started 60 min ago, news 2 s ago", "local:/x?[2J, connected, degraded",
		"abcd, generation 5, 4 changes, 2 reconnects",
		"3 (192 B, 768 bits credited), last 3 s ago, 1 refused", "2 times (512 bits credited), 1 failures", "3 of 3",
		"kernel: out of order", "host closed the channel",
	} {
		assert.Contains(t, out.String(), want)
	}
}

// The age of the last seed is that of the snapshot and the time since then,
// whatever the wall clock was set to meanwhile.
func TestAgeOfTheLastSeed(t *testing.T) {
	r := &report{Updated: time.Unix(0, 0), UpdatedAt: 1000}
	r.Guest.Host.LastSeedAge = new(60.0)
	require.Equal(t, "90 s ago", r.lastSeed(1030*time.Second))
	require.Equal(t, "60 s ago", r.lastSeed(0), "the time since boot is not known")
	r.Guest.Host.LastSeedAge = nil
	require.Equal(t, "-", r.lastSeed(1030*time.Second))
}

func TestUsersOwnDaemonIsFound(t *testing.T) {
	if _, err := os.Stat(local.DefaultSocket); err == nil {
		t.Skip("a system's daemon runs here, which goes first: stop xentropyd")
	}
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv(hostEnv, "")
	address, err := hostAddress(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "local:"+local.DefaultSocket, address)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "xentropyd"), 0o700))
	own := filepath.Join(dir, "xentropyd", "local.sock")
	require.NoError(t, os.WriteFile(own, nil, 0o600))
	address, err = hostAddress(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "local:"+own, address)
}
