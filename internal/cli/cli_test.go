package cli

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func tree(run func(cmd *cobra.Command) error) *cobra.Command {
	root := Root("xentropyd", "give entropy")
	root.AddCommand(&cobra.Command{
		Use: "do", Args: cobra.NoArgs, Short: "Do",
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd) },
	})
	return root
}

func run(t *testing.T, root *cobra.Command, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(root, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitStatusAndMessages(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		err    error
		code   int
		stderr string
	}{
		{"good", []string{"do"}, nil, ExitOK, ""},
		{"failure", []string{"do"}, errors.New("read x: gone"), ExitFailure, "xentropyd: read x: gone\n"},
		{
			"hint",
			[]string{"do"},
			WithHint(errors.New("read x: gone"), "put it back"), ExitFailure,
			"xentropyd: read x: gone\nhint: put it back\n",
		},
		{
			"hint below",
			[]string{"do"},
			fmt.Errorf("start: %w", WithHint(errors.New("gone"), "put it back")),
			ExitFailure, "xentropyd: start: gone\nhint: put it back\n",
		},
		{"two errors", []string{"do"}, errors.Join(errors.New("a"), errors.New("b")), ExitFailure, "xentropyd: a; b\n"},
		{"escape", []string{"do"}, errors.New("name \x1b[2J"), ExitFailure, "xentropyd: name ?[2J\n"},
		{"usage", []string{"do"}, Usage(errors.New("-n 0: too few")), ExitUsage, "xentropyd: -n 0: too few\n"},
		{
			"unknown command",
			[]string{"dont"},
			nil, ExitUsage,
			"xentropyd: unknown command \"dont\" for \"xentropyd\"\n",
		},
		{"argument", []string{"do", "it"}, nil, ExitUsage, "xentropyd: unknown command \"it\" for \"xentropyd do\"\n"},
		{
			"flag",
			[]string{"do", "--it"},
			nil, ExitUsage,
			"xentropyd: unknown flag: --it\nhint: see xentropyd do --help\n",
		},
		{
			"level",
			[]string{"do", "--log-level", "loud"},
			nil, ExitUsage,
			"xentropyd: flag --log-level: log level \"loud\": use debug, info, warn, error\n",
		},
		{
			"help",
			[]string{"help", "it"},
			nil, ExitUsage,
			"xentropyd: no help for \"it\": there is no such command\nhint: see xentropyd --help\n",
		},
		{
			"help below",
			[]string{"help", "do", "it"},
			nil, ExitUsage,
			"xentropyd: no help for \"do it\": there is no such command\nhint: see xentropyd --help\n",
		},
		{
			"completion",
			[]string{"completion"},
			nil, ExitUsage,
			"xentropyd: completion for which shell\nhint: it knows bash, fish, powershell, zsh\n",
		},
		{
			"shell",
			[]string{"completion", "csh"},
			nil, ExitUsage,
			"xentropyd: completion for \"csh\": unknown shell\nhint: it knows bash, fish, powershell, zsh\n",
		},
		{
			"version of what",
			[]string{"--version", "it"},
			nil, ExitUsage,
			"xentropyd: unknown command \"it\" for \"xentropyd\"\n",
		},
		{"nothing", nil, nil, ExitUsage, "xentropyd: no command given\nhint: see xentropyd --help\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := run(t, tree(func(*cobra.Command) error { return c.err }), c.args...)
			assert.Equal(t, c.code, code)
			assert.Equal(t, c.stderr, stderr)
			assert.Empty(t, stdout)
		})
	}
}

func TestFlagsThatDoNotGoTogether(t *testing.T) {
	root := tree(func(*cobra.Command) error { t.Error("it ran"); return nil })
	do, _, err := root.Find([]string{"do"})
	require.NoError(t, err)
	do.Flags().Bool("a", false, "")
	do.Flags().Bool("b", false, "")
	do.MarkFlagsMutuallyExclusive("a", "b")
	code, _, stderr := run(t, root, "do", "--a", "--b")
	assert.Equal(t, ExitUsage, code)
	assert.Contains(t, stderr, "\nhint: see xentropyd do --help\n")
}

func TestLogLevel(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	log := func(*cobra.Command) error {
		slog.Info("all is well")
		slog.Warn("all is not well")
		return nil
	}
	_, _, stderr := run(t, tree(log), "do", "--log-level=warn")
	assert.NotContains(t, stderr, "is well")
	assert.Contains(t, stderr, "not well")
	_, _, stderr = run(t, tree(log), "do")
	assert.Contains(t, stderr, "is well")
	t.Setenv("JOURNAL_STREAM", "8:1")
	_, _, stderr = run(t, tree(log), "do")
	assert.Contains(t, stderr, "time=", "not the journal, whatever the variable says")
}

func TestVersionManCompletion(t *testing.T) {
	code, stdout, _ := run(t, tree(nil), "version")
	assert.Equal(t, ExitOK, code)
	assert.Regexp(t, `^xentropyd \S+ \(go`, stdout)
	code, flag, _ := run(t, tree(nil), "--version")
	assert.Equal(t, ExitOK, code)
	assert.Equal(t, stdout, flag)

	code, stdout, _ = run(t, tree(nil), "help", "do")
	assert.Equal(t, ExitOK, code)
	assert.Contains(t, stdout, "xentropyd do [flags]")
	assert.Contains(t, stdout, "--help")

	dir := filepath.Join(t.TempDir(), "man")
	code, _, stderr := run(t, tree(nil), "man", dir)
	assert.Equal(t, ExitOK, code, stderr)
	page, err := os.ReadFile(filepath.Join(dir, "xentropyd-do.8"))
	require.NoError(t, err)
	assert.Contains(t, string(page), `log\-level`)

	code, stdout, _ = run(t, tree(nil), "completion", "bash")
	assert.Equal(t, ExitOK, code)
	assert.Contains(t, stdout, "xentropyd")
}

func TestFormat(t *testing.T) {
	assert.Equal(t, "64 B", Bytes(64))
	assert.Equal(t, "1023 B", Bytes(1023))
	assert.Equal(t, "1.0 KiB", Bytes(1024))
	assert.Equal(t, "256 bits", Bits(256))
	assert.Equal(t, "1.5 kbit", Bits(1500))
	assert.Equal(t, "432 MB/s", Rate(432e6))
	assert.Equal(t, "850 ms", Duration(850*time.Millisecond))
	assert.Equal(t, "12 s", Duration(12*time.Second))
	assert.Equal(t, "3 min", Duration(3*time.Minute))
	assert.Equal(t, "4 d", Duration(96*time.Hour))
	assert.Equal(t, "-106752 d", Duration(-1<<63))
	assert.Equal(t, "-", OrDash(""))
	var b bytes.Buffer
	require.NoError(t, Table(&b, []string{"A", "NAME"}, [][]string{{"long", "x"}, {"b", "y"}}))
	assert.Equal(t, "A     NAME\nlong  x\nb     y\n", b.String())
}
