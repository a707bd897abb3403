package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/cli"
)

func renewCommand() *cobra.Command {
	var flags clientFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "renew [GUEST]",
		Short: "Begin a new generation: for toolstacks, after a clone or a restore",
		Long: `Begin a new generation. Every connected guest is sent a fresh seed that voids
all earlier ones, throws away what it has buffered, and acknowledges. A
toolstack calls this after it has cloned or restored a guest. With GUEST, an ID
as xentropyd status --json shows it, this is for one guest alone.

It may be called for each of many clones: what comes within a quarter of a
second begins one generation together, and no guest's budget is spent. Root and
the daemon's own user may do this, and who is listed as change in [rights] of
its configuration.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			guest := ""
			if len(args) == 1 {
				guest = args[0]
				if guest == "" { // of a script whose variable is empty: it does not mean all
					return cli.Usage(cli.WithHint(errors.New("argument GUEST is empty"),
						"give an ID as xentropyd status --json shows it, or no argument for all guests"))
				}
			}
			var g control.Generation
			err := flags.find(func(c *control.Client) (err error) {
				g, err = c.NewGeneration(cmd.Context(), guest)
				return err
			})
			switch {
			case err != nil:
				return err
			case asJSON:
				return cli.JSON(cmd.OutOrStdout(), g)
			case guest != "":
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "generation %d begun for %s\n",
					g.Generation, cli.Printable(guest))
			default:
				_, err = fmt.Fprintf(cmd.OutOrStdout(),
					"generation %d begun; %d guests connected are being seeded anew\n", g.Generation, g.Sessions)
			}
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
