package xen

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/qemu"
)

// Limits, ours: several times what the slowest machine seen needed.
const (
	// bootLimit is from QEMU's start to the agent's first answer; 25 s on an
	// idle machine with 2 cores.
	bootLimit  = 5 * time.Minute
	guestLimit = 5 * time.Minute // from xl create to the guest's agent
)

// Dom0 is a machine that is up. Scenarios use one after another.
type Dom0 struct {
	Place   // dom0 itself
	Machine *Machine
	LogDir  string

	process *qemu.Process
	console *qemu.Console
	client  *agent.Client
	line    net.Conn
	logs    []*os.File // the console's, the agent's
}

// Boot starts a machine and waits until dom0 answers. Logs go to logDir:
// console.log has Xen's and dom0's console, agent.log what the lab asked for.
// Whoever gets a Dom0 stops it.
func Boot(ctx context.Context, m *Machine, images string, logDir string) (*Dom0, error) {
	d := &Dom0{Machine: m, LogDir: logDir}
	d.Place.dom0 = d
	if err := d.start(images); err != nil {
		d.Stop()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	if err := d.client.Hello(ctx, ""); err != nil {
		d.Stop()
		return nil, fmt.Errorf("%s does not come up: %w; the console's end:\n\t%s",
			m.Name, err, strings.Join(d.console.Tail(), "\n\t"))
	}
	return d, nil
}

func (d *Dom0) start(images string) error {
	if err := os.MkdirAll(d.LogDir, 0o755); err != nil {
		return fmt.Errorf("make the directory of logs: %w", err)
	}
	for _, name := range []string{"console.log", "agent.log"} {
		f, err := os.Create(filepath.Join(d.LogDir, name))
		if err != nil {
			return fmt.Errorf("open a log: %w", err)
		}
		d.logs = append(d.logs, f)
	}
	ours, theirs, err := qemu.Pair()
	if err != nil {
		return err
	}
	d.line = ours
	defer theirs.Close()
	d.console = qemu.NewConsole(d.logs[0])
	cmd := exec.Command(d.Machine.QEMU, append(d.Machine.Args("lab.line="+d.Machine.Line),
		"-display", "none", "-monitor", "none", "-no-reboot",
		"-serial", "stdio", "-chardev", "socket,id=lab,fd=3", "-serial", "chardev:lab")...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = images, d.console, d.console, []*os.File{theirs}
	fmt.Fprintf(d.logs[0], "# cd %s; %q\n", images, cmd.Args)
	if d.process, err = qemu.Start(cmd); err != nil {
		return err
	}
	d.client = agent.NewClient(ours, d.logs[1])
	return nil
}

// Stop ends the machine and closes its logs.
func (d *Dom0) Stop() {
	if d.process != nil {
		d.process.Stop()
	}
	if d.line != nil {
		d.line.Close()
	}
	if d.client != nil {
		d.client.Wait()
	}
	for _, l := range d.logs {
		l.Close()
	}
}
