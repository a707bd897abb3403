package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/seedfile"
	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/transport"
)

func runCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Gather noise and serve guests until told to stop",
		Long: `Gather noise and serve guests until SIGTERM or SIGINT.

Without a configuration file, root serves /run/xentropyd/local.sock and keeps a
seed in /var/lib/xentropyd; anybody else serves
$XDG_RUNTIME_DIR/xentropyd/local.sock and keeps the seed in
$XDG_STATE_HOME/xentropyd. SIGHUP reads the file again, takes over the log level
and the budgets, and looks again for noise sources that are absent; xentropyd
check says beforehand whether the file is good.

The exit status is 0 after such a signal, 2 if the command line or the
configuration was wrong, which starting again does not mend, and else 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			fixedLevel := cmd.Flag("log-level").Changed
			if !fixedLevel {
				level, err := cli.ParseLevel(c.LogLevel)
				if err != nil {
					return err
				}
				cli.Level.Set(level)
			}
			d, err := newDaemon(c, slog.Default())
			if err != nil {
				return hintForStart(err)
			}
			d.file, d.fixedLevel = file, fixedLevel
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "read the configuration from `FILE`")
	return cmd
}

// hintForStart says what to do when the daemon cannot start.
func hintForStart(err error) error {
	var inUse *control.InUseError
	switch {
	case errors.As(err, &inUse) && inUse.PID != 0:
		return cli.WithHint(err, fmt.Sprintf("stop it (kill %d) or choose other paths in a file given with --config",
			inUse.PID))
	case errors.As(err, &inUse), errors.Is(err, unixsock.ErrInUse):
		return cli.WithHint(err, "stop that process or choose another path in a file given with --config")
	case errors.Is(err, transport.ErrUnavailable):
		return cli.WithHint(err, "load the drivers, or leave xen: out of listen in a file given with --config")
	case errors.Is(err, seedfile.ErrInUse):
		return cli.WithHint(err, "another xentropyd uses this seed file: stop it or choose another seed_file")
	case errors.Is(err, syscall.EROFS):
		return cli.WithHint(err, "its file system is read-only: mount it writable, or choose paths on another in a "+
			"file given with --config")
	case errors.Is(err, fs.ErrPermission):
		return cli.WithHint(err, "run as root, or choose paths that you may write to in a file given with --config")
	}
	return err
}
