package xen

import (
	"context"
	"os"

	"github.com/xentropyd/xentropyd/lab/internal/qemu"
)

// Shell boots a machine with its console on the terminal, and returns when the person there has ended it.
func Shell(ctx context.Context, m *Machine, images *Images) error {
	args := append(m.Args("lab.shell lab.xenstored="+m.Xenstored),
		"-display", "none", "-no-reboot", "-serial", "mon:stdio")
	p, err := qemu.Start(qemu.Config{
		Program: m.QEMU, Args: args, Dir: images.Dir,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
		return p.Err()
	case <-ctx.Done():
		p.Stop()
		return ctx.Err()
	}
}
