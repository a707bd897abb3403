//go:build unix

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// journal is a file that JOURNAL_STREAM names, as the service manager's socket
// would be.
func journal(t *testing.T) (f *os.File, read func() string) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "journal")
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	var s syscall.Stat_t
	require.NoError(t, syscall.Fstat(int(f.Fd()), &s))
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", s.Dev, s.Ino))
	return f, func() string {
		b, err := os.ReadFile(f.Name())
		require.NoError(t, err)
		require.NoError(t, f.Truncate(0))
		_, err = f.Seek(0, io.SeekStart)
		require.NoError(t, err)
		return string(b)
	}
}

// TestJournalLearnsPriorities: journalctl -p err is to find what went wrong.
func TestJournalLearnsPriorities(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	defer Level.Set(Level.Level())
	f, read := journal(t)
	hint := WithHint(errors.New("read x: gone\nand y"), "put it back")
	code := Run(tree(func(*cobra.Command) error {
		slog.Debug("d")
		slog.Info("i")
		slog.With("k", "v").Warn("w")
		slog.Default().WithGroup("g").Error("e", "text", "two\nlines")
		return hint
	}), []string{"do", "--log-level=debug"}, io.Discard, f)
	assert.Equal(t, ExitFailure, code)
	assert.Equal(t, "<7>level=DEBUG msg=d\n<6>level=INFO msg=i\n<4>level=WARN msg=w k=v\n"+
		"<3>level=ERROR msg=e g.text=\"two\\nlines\"\n"+
		"<3>xentropyd: read x: gone; and y\n<3>hint: put it back\n", read())

	// Also what waits a while before it is written.
	late := NewLateLog(newLogHandler(f), 1<<40)
	slog.New(late).Info("late")
	slog.New(late).Error("at once")
	assert.Equal(t, "<6>level=INFO msg=late\n<3>level=ERROR msg=\"at once\"\n", read())

	require.NoError(t, Say(f, slog.LevelWarn, "one\ntwo\nthree"))
	assert.Equal(t, "<4>one\n<4>two\n<4>three", read())

	// Another file than the one named gets none of it.
	other, err := os.CreateTemp(t.TempDir(), "other")
	require.NoError(t, err)
	defer other.Close()
	Run(tree(func(*cobra.Command) error { slog.Info("i"); return hint }), []string{"do"}, io.Discard, other)
	b, err := os.ReadFile(other.Name())
	require.NoError(t, err)
	assert.Regexp(t, `^time=\d\d:\d\d:\d\d\.\d{3} level=INFO msg=i\nxentropyd: read x`, string(b))
	assert.Empty(t, read())
}

// TestLogFromManyGoroutines: a line's priority is that of its own level.
func TestLogFromManyGoroutines(t *testing.T) {
	f, read := journal(t)
	log := slog.New(newLogHandler(f))
	done := make(chan bool)
	for range 8 {
		go func() {
			defer func() { done <- true }()
			for range 50 {
				log.Info("fine")
				log.With("a", 1).Error("bad")
				runtime.Gosched()
			}
		}()
	}
	for range 8 {
		<-done
	}
	for line := range bytes.Lines([]byte(read())) {
		require.Regexp(t, regexp.MustCompile(`^(<6>level=INFO msg=fine|<3>level=ERROR msg=bad a=1)\n$`), string(line))
	}
}

// TestPanicIsNoUsage: a service manager that does not start a program again
// that was used wrongly starts one again that crashed.
func TestPanicIsNoUsage(t *testing.T) {
	if os.Getenv("CLI_TEST_PANIC") != "" {
		os.Args = []string{"xentropyd", "do"}
		Main(tree(func(*cobra.Command) error { panic("a mistake of ours") }))
	}
	c := exec.Command(os.Args[0], "-test.run=^TestPanicIsNoUsage$")
	c.Env = append(os.Environ(), "CLI_TEST_PANIC=1")
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	assert.Contains(t, string(out), "a mistake of ours")
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	assert.True(t, status.Signaled(), "%v", err)
	assert.Equal(t, syscall.SIGABRT, status.Signal())
}
