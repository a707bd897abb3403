package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/lab/internal/xen"
	"github.com/xentropyd/xentropyd/lab/scenario"
)

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Args: cobra.NoArgs,
		Short: "List machines and scenarios",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, m := range xen.Machines {
				for _, s := range scenario.All {
					if !s.On(m) {
						continue
					}
					short := ""
					if s.Short {
						short = " (short)"
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%-42s %s%s\n", m.Name+"/"+s.Name, s.Doc, short)
				}
			}
			return nil
		},
	}
}
