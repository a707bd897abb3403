package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/internal/cli"
)

func renewCommand() *cobra.Command {
	var flags clientFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Begin a new generation: for toolstacks, after a clone or a restore",
		Long: "Begin a new generation. Every connected guest is sent a fresh seed that voids all earlier ones, throws away what it has\n" +
			"buffered, and acknowledges. A toolstack calls this after it has cloned or restored a guest.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, before, err := flags.connect(cmd.Context())
			if err != nil {
				return err
			}
			g, err := c.NewGeneration(cmd.Context())
			if err != nil {
				return hintForClient(err)
			}
			if asJSON {
				return cli.JSON(cmd.OutOrStdout(), map[string]any{"generation": g, "sessions": before.Server.Sessions})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "generation %d begun; %d guests connected are being seeded anew\n", g, before.Server.Sessions)
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
