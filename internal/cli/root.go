package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	ExitOK        = 0
	ExitFailure   = 1 // also: what was asked is not running, or cannot be reached
	ExitUsage     = 2 // the command line or the configuration was wrong
	ExitDegraded  = 3 // it runs and is seeded, but something is wrong with it
	ExitNotSeeded = 4 // it runs and is not seeded
)

// Root makes the top of a command tree: it has no action of its own, and
// already has the commands version, completion, man and help, and the flags
// --log-level and --version. A command below it must not set PersistentPreRun
// or PersistentPreRunE.
func Root(name, short string) *cobra.Command {
	root := &cobra.Command{
		Use:               name,
		Short:             short,
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if v, err := cmd.Flags().GetBool("version"); v || err != nil {
				return errors.Join(err, printVersion(cmd))
			}
			return Usage(WithHint(fmt.Errorf("no command given"), "see "+name+" --help"))
		},
	}
	root.Flags().Bool("version", false, "print the version, as the command version does")
	root.PersistentFlags().String("log-level", "info", "log `LEVEL`: debug, info, warn or error")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmd.ValidateFlagGroups(); err != nil { // cobra does it later, when it is no error of usage any more
			return Usage(WithHint(err, "see "+cmd.CommandPath()+" --help"))
		}
		level, err := ParseLevel(cmd.Flag("log-level").Value.String())
		if err != nil {
			return Usage(fmt.Errorf("flag --log-level: %w", err))
		}
		// cobra would do so when this function is through, too late for the
		// exit status.
		if err := errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
			return Usage(WithHint(err, "see "+cmd.CommandPath()+" --help"))
		}
		Level.Set(level)
		slog.SetDefault(slog.New(newLogHandler(cmd.ErrOrStderr())))
		markStarted(cmd.Context())
		return nil
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return Usage(WithHint(err, "see "+cmd.CommandPath()+" --help"))
	})
	root.AddCommand(versionCommand(), manCommand())
	root.SetHelpCommand(helpCommand())
	return root
}

// Main hardens the process, runs the command line and ends the process with its
// exit status. A panic ends it by SIGABRT: Go's own status for one is 2, which
// is [ExitUsage], after which a service manager has no cause to start the
// program again.
func Main(root *cobra.Command) {
	debug.SetTraceback("crash")
	if err := Harden(); err != nil {
		_ = Say(os.Stderr, slog.LevelWarn, fmt.Sprintf("%s: warning: %v\n", root.Name(), err))
	}
	os.Exit(Run(root, os.Args[1:], os.Stdout, os.Stderr))
}

// Run runs the command line without touching the process and returns the exit
// status. The first SIGINT or SIGTERM cancels the commands' context, a second
// one kills.
func Run(root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	started := new(bool)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	checkCompletion(root)
	err := root.ExecuteContext(context.WithValue(ctx, startedKey{}, started))
	if err != nil && !*started {
		err = Usage(err) // cobra refused the arguments before anything ran
	}
	return report(stderr, root.Name(), err)
}

type startedKey struct{}

func markStarted(ctx context.Context) {
	if started, ok := ctx.Value(startedKey{}).(*bool); ok {
		*started = true
	}
}
