package xen

import (
	"context"
	"fmt"
	"strconv"
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
	Type   string   // PV or PVH
	Memory int      // MiB, 0 for the usual
	Image  string   // initramfs in dom0, "" for GuestImage, whose init is the lab's
	Words  string   // more words for the kernel's command line
	Follow bool     // entropy-guest runs from the start
	Lines  []string // more lines for xl's configuration
}

// usualMemory holds the image, packed and unpacked.
const usualMemory = 256

// text is xl's configuration (xl.cfg(5)).
func (g GuestConfig) text() string {
	if g.Memory == 0 {
		g.Memory = usualMemory
	}
	words := "console=hvc0 quiet panic=1 " + g.Words
	if g.Image == "" {
		g.Image = GuestImage
		words += " lab.line=/dev/hvc0"
		if g.Follow {
			words += " lab.follow"
		}
	}
	lines := append([]string{
		fmt.Sprintf("name = %q", rawString(g.Name)),
		fmt.Sprintf("type = %q", g.Type),
		fmt.Sprintf("kernel = %q", GuestKernel),
		fmt.Sprintf("ramdisk = %q", g.Image),
		fmt.Sprintf("memory = %d", g.Memory),
		"vcpus = 1",
		fmt.Sprintf("extra = %q", strings.TrimSpace(words)),
	}, g.Lines...)
	return strings.Join(lines, "\n") + "\n"
}

// rawString prints with %q as it is: xl knows no \u.
type rawString string

// Format writes the string between quotation marks.
func (r rawString) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "\"%s\"", string(r)) }

// Create starts a guest with xl create and does not wait for it.
func (d *Dom0) Create(ctx context.Context, g GuestConfig) error {
	if strings.ContainsAny(g.Name, "\"'\\\n") {
		return fmt.Errorf("guest's name %q: no quotation marks and backslashes", g.Name)
	}
	file := "/etc/xen/" + strings.ReplaceAll(g.Name, "/", "-") + ".cfg"
	if err := d.Put(ctx, file, g.text()); err != nil {
		return err
	}
	_, err := d.Run(ctx, "xl", "create", "-q", file)
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
func (d *Dom0) Domid(ctx context.Context, name string) (uint16, error) {
	out, err := d.Run(ctx, "xl", "domid", name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(out), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("xl domid %s: %w", name, err)
	}
	return uint16(n), nil
}

// Destroy ends a guest without asking it.
func (d *Dom0) Destroy(ctx context.Context, name string) error {
	_, err := d.Run(ctx, "xl", "destroy", name)
	return err
}

// Clear destroys all guests, after a scenario.
func (d *Dom0) Clear(ctx context.Context) error {
	_, err := d.Shell(ctx, "for i in $(xenstore-list /local/domain); do [ $i = 0 ] || xl destroy $i || exit; done")
	return err
}

// Save saves a guest into a file in dom0 and ends it.
func (d *Dom0) Save(ctx context.Context, name, file string) error {
	_, err := d.Run(ctx, "xl", "save", name, file)
	return err
}

// Restore makes a guest of a saved one, under the name and with the lines of g, which must be the saved one's otherwise. It stays paused.
func (d *Dom0) Restore(ctx context.Context, g GuestConfig, file string) error {
	config := "/etc/xen/" + strings.ReplaceAll(g.Name, "/", "-") + ".cfg"
	if err := d.Put(ctx, config, g.text()); err != nil {
		return err
	}
	_, err := d.Run(ctx, "xl", "restore", "-p", config, file)
	return err
}

// Unpause lets a guest run and gives the time at which it began to, by dom0's clock.
func (d *Dom0) Unpause(ctx context.Context, name string) (time.Time, error) {
	id, err := d.Domid(ctx, name)
	if err != nil {
		return time.Time{}, err
	}
	out, err := d.Run(ctx, "probe", "unpause", fmt.Sprint(id))
	if err != nil {
		return time.Time{}, err
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("unpause %s: %w", name, err)
	}
	return time.Unix(0, ns), nil
}
