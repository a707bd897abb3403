package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/internal/cli"
)

func checkCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration file, without a daemon",
		Long: `Check a configuration file: say that it is good, or what is wrong with it, each
fault on a line of its own, with file, line and column. Nothing is opened or
changed. The service runs this before it reloads.

The exit status is 0 if the file is good, else 2, as it is when run is given
such a file.`,
		Example: "  xentropyd check --config /etc/xentropyd/xentropyd.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := loadConfig(file)
			switch {
			case err == nil && file == "":
				return cli.Say(cmd.OutOrStdout(), slog.LevelInfo, "no file given: the defaults are good\n")
			case err == nil:
				return cli.Say(cmd.OutOrStdout(), slog.LevelInfo, cli.Printable(file)+" is good\n")
			case cli.Hint(err) != "":
				return err
			}
			var text strings.Builder
			for fault := range strings.Lines(err.Error()) {
				fmt.Fprintf(&text, "xentropyd: %s\n", cli.Printable(strings.TrimSuffix(fault, "\n")))
			}
			_ = cli.Say(cmd.ErrOrStderr(), slog.LevelError, text.String())
			return cli.Quiet(cli.ExitUsage)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "check `FILE`")
	return cmd
}
