package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpCommand is cobra's, but fails for a command that there is not.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) (names []string,
			_ cobra.ShellCompDirective,
		) {
			above, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, c := range above.Commands() {
				if c.IsAvailableCommand() && strings.HasPrefix(c.Name(), begun) {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return Usage(WithHint(fmt.Errorf("no help for %q: there is no such command", strings.Join(args, " ")),
					"see "+cmd.Root().Name()+" --help"))
			}
			of.InitDefaultHelpFlag() // it has not run: its help would not show the flag
			return of.Help()
		},
	}
}

// checkCompletion has cobra's completion command fail when it is told no shell,
// or none that it knows, and would show its help else.
func checkCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		var shells []string
		for _, shell := range c.Commands() {
			shells = append(shells, shell.Name())
		}
		hint := "it knows " + strings.Join(shells, ", ")
		c.Args = func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return Usage(WithHint(fmt.Errorf("completion for %q: unknown shell", args[0]), hint))
			}
			return nil
		}
		c.RunE = func(*cobra.Command, []string) error {
			return Usage(WithHint(errors.New("completion for which shell"), hint))
		}
	}
}
