package xen

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Kinds of guests.
const (
	PV  = "pv"
	PVH = "pvh"
)

// GuestConfig says what guest to start.
type GuestConfig struct {
	Name   string   // may have spaces and UTF-8, but no quotation marks
	Type   string   // PV or PVH, PV if it is empty
	Image  string   // initramfs in dom0, "" for GuestImage, whose init is the lab's
	Words  string   // more words for the kernel's command line
	Follow bool     // entropy-guest runs from the start
	Lines  []string // more lines for xl's configuration
}

// memory of a guest, MiB: it holds the image, packed and unpacked.
const memory = 256

// text is xl's configuration (xl.cfg(5)), which has no way to write a quotation
// mark.
func (g GuestConfig) text() string {
	words := "console=hvc0 quiet panic=1 " + g.Words
	if g.Type == "" {
		g.Type = PV
	}
	if g.Image == "" {
		g.Image = GuestImage
		words += " lab.line=/dev/hvc0"
		if g.Follow {
			words += " lab.follow"
		}
	}
	return fmt.Sprintf("name = \"%s\"\ntype = \"%s\"\nkernel = \"%s\"\nramdisk = \"%s\"\nmemory = %d\nvcpus = 1\nextra = \"%s\"\n",
		g.Name, g.Type, GuestKernel, g.Image, memory, words) + strings.Join(append(g.Lines, ""), "\n")
}

// configure writes a guest's configuration and gives its file.
func (d *Dom0) configure(ctx context.Context, g GuestConfig) (file string, err error) {
	if strings.ContainsAny(g.Name, "\"'\\\n") {
		return "", fmt.Errorf("guest's name %q: no quotation marks and backslashes", g.Name)
	}
	file = "/etc/xen/" + strings.ReplaceAll(g.Name, "/", "-") + ".cfg"
	return file, d.Put(ctx, file, g.text())
}

// Create starts a guest with xl create and does not wait for it.
func (d *Dom0) Create(ctx context.Context, g GuestConfig) error {
	file, err := d.configure(ctx, g)
	if err == nil {
		_, err = d.Run(ctx, "xl", "create", "-q", file)
	}
	return err
}

// Ready waits until the agent of a guest answers.
func (d *Dom0) Ready(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, guestLimit)
	defer cancel()
	return d.client.Hello(ctx, name)
}

// Start is Create and Ready.
func (d *Dom0) Start(ctx context.Context, g GuestConfig) (Place, error) {
	if err := d.Create(ctx, g); err != nil {
		return Place{}, err
	}
	if err := d.Ready(ctx, g.Name); err != nil {
		log, _ := d.Run(context.WithoutCancel(ctx), "tail", "-n", "20", ConsoleLog(g.Name))
		return Place{}, fmt.Errorf("%w; its console's end:\n%s", err, log)
	}
	return d.Guest(g.Name), nil
}

// ConsoleLog is the file in dom0 that has all that a guest printed.
func ConsoleLog(name string) string { return "/var/log/xen/console/guest-" + name + ".log" }

// Domid asks for a guest's domain number.
func (d *Dom0) Domid(ctx context.Context, name string) (id uint16, err error) {
	return id, d.scan(ctx, &id, "xl", "domid", name)
}

// scan runs a command that prints a number.
func (d *Dom0) scan(ctx context.Context, number any, argv ...string) error {
	out, err := d.Run(ctx, argv...)
	if err == nil {
		_, err = fmt.Sscan(out, number)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}

// Destroy ends a guest without asking it.
func (d *Dom0) Destroy(ctx context.Context, name string) error {
	_, err := d.Run(ctx, "xl", "destroy", name)
	return err
}

// Save saves a guest into a file in dom0 and ends it.
func (d *Dom0) Save(ctx context.Context, name, file string) error {
	_, err := d.Run(ctx, "xl", "save", name, file)
	return err
}

// Restore makes a guest of a saved one, under the name and with the lines of g,
// which must be the saved one's otherwise. It stays paused.
func (d *Dom0) Restore(ctx context.Context, g GuestConfig, file string) error {
	config, err := d.configure(ctx, g)
	if err == nil {
		_, err = d.Run(ctx, "xl", "restore", "-p", config, file)
	}
	return err
}

// Unpause lets a guest run and gives the time at which it began to, by dom0's
// clock.
func (d *Dom0) Unpause(ctx context.Context, name string) (time.Time, error) {
	id, err := d.Domid(ctx, name)
	if err != nil {
		return time.Time{}, err
	}
	var ns int64
	err = d.scan(ctx, &ns, "probe", "unpause", fmt.Sprint(id))
	return time.Unix(0, ns), err
}
