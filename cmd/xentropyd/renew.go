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
		Use:   "renew [GUEST]",
		Short: "Begin a new generation: for toolstacks, after a clone or a restore",
		Long: "Begin a new generation. Every connected guest is sent a fresh seed that voids all earlier ones, throws away what it has\n" +
			"buffered, and acknowledges. A toolstack calls this after it has cloned or restored a guest. With GUEST, an ID as\n" +
			"xentropyd status --json shows it, this is for one guest alone.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			guest := ""
			if len(args) == 1 {
				guest = args[0]
			}
			c, before, err := flags.connect(cmd.Context())
			if err != nil {
				return err
			}
			g, err := c.NewGeneration(cmd.Context(), guest)
			if err != nil {
				return hintForClient(err)
			}
			if asJSON {
				return cli.JSON(cmd.OutOrStdout(), map[string]any{"generation": g, "sessions": before.Server.Sessions})
			}
			if guest != "" {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "generation %d begun for %s\n", g, guest)
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "generation %d begun; %d guests connected are being seeded anew\n", g, before.Server.Sessions)
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
