package xen

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	return fmt.Sprintf(`name = "%s"
type = "%s"
kernel = "%s"
ramdisk = "%s"
memory = %d
vcpus = 1
extra = "%s"
`, g.Name, g.Type, GuestKernel, g.Image, memory, words) + strings.Join(append(g.Lines, ""), "\n")
}

// xl runs a command of xl's with a guest's configuration, which it writes, and
// what stands behind that.
func (d *Dom0) xl(ctx context.Context, command []string, g GuestConfig, more ...string) error {
	if strings.ContainsAny(g.Name, "\"'\\\n") {
		return fmt.Errorf("guest's name %q: no quotation marks and backslashes", g.Name)
	}
	file := "/etc/xen/" + strings.ReplaceAll(g.Name, "/", "-") + ".cfg"
	if err := d.Put(ctx, file, g.text()); err != nil {
		return err
	}
	_, err := d.Run(ctx, slices.Concat([]string{"xl"}, command, []string{file}, more)...)
	return err
}

// Create starts a guest with xl create and does not wait for it.
func (d *Dom0) Create(ctx context.Context, g GuestConfig) error {
	return d.xl(ctx, []string{"create", "-q"}, g)
}

// Restore makes a guest of a saved one, under the name and with the lines of g,
// which must be the saved one's otherwise. It stays paused.
func (d *Dom0) Restore(ctx context.Context, g GuestConfig, file string) error {
	return d.xl(ctx, []string{"restore", "-p"}, g, file)
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
