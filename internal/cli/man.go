package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// manSection is where programs for administrators are.
const manSection = "8"

// manCommand is for packagers: man pages from the same tree as the help. They
// are made by hand: cobra's own generator brings a Markdown parser whose tables
// would be made at each start of each command.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages to a directory",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("write man pages: %w", err)
			}
			root := cmd.Root()
			root.InitDefaultCompletionCmd()
			return writeManTree(root, args[0])
		},
	}
}

// writeManTree writes the page of a command and those of the commands below it.
func writeManTree(cmd *cobra.Command, dir string) error {
	path := filepath.Join(dir, manName(cmd)+"."+manSection)
	if err := os.WriteFile(path, []byte(manPage(cmd)), 0o644); err != nil {
		return fmt.Errorf("write man page: %w", err)
	}
	for _, c := range manChildren(cmd) {
		if err := writeManTree(c, dir); err != nil {
			return err
		}
	}
	return nil
}

func manChildren(cmd *cobra.Command) (list []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
			list = append(list, c)
		}
	}
	return list
}

// manName is the page's name: git's way, with dashes.
func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }
