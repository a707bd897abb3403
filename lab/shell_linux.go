package main

import (
	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/lab/internal/debian"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

func shellCommand() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "shell", Args: cobra.NoArgs,
		Short: "Boot a machine and give its dom0's console, with a guest running",
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := xen.Find(name)
			if err != nil {
				return err
			}
			if err := xen.CheckHost([]*xen.Machine{m}); err != nil {
				return err
			}
			var images map[string]*xen.Images
			err = withCache(func(cache *debian.Cache) error {
				images, err = build(cmd.Context(), cache, []*xen.Machine{m})
				return err
			})
			if err != nil {
				return err
			}
			progress("booting; Ctrl-A x ends the machine at any time")
			return xen.Shell(cmd.Context(), m, images[m.Arch])
		},
	}
	c.Flags().StringVar(&name, "machine", xen.Machines[0].Name, "the machine's `NAME`, see lab list")
	return c
}
