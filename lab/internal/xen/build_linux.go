package xen

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/debian"
	"github.com/xentropyd/xentropyd/lab/internal/image"
)

// Where things are in dom0 and in guests.
const (
	BinDir      = agent.BinDir   // compiled programs
	UtilsDir    = agent.UtilsDir // dom0 alone: Xen's own programs
	GuestKernel = "/lab/vmlinux" // dom0 alone
	// GuestImage is the initramfs of the usual guest, in dom0 alone. It is not
	// compressed: xl and the guest need not unpack it.
	GuestImage = "/lab/guest.img"
)

// utilities are what dom0 has of Xen's, in the package xen-utils.
var utilities = []string{
	"xl", "libxl-save-helper", "xenstored", "oxenstored", "xenstore-control", "xen-init-dom0",
	"xenconsoled", "xenconsole", "vchan-socket-proxy", "lsevtchn", "xen-diag",
}

// build makes the images in a directory: Xen, the kernel and dom0's initramfs,
// which holds the guests' one. Machines of one architecture share them.
func build(ctx context.Context, p *packages, m *Machine, programs map[string]string, dir string) error {
	modules, err := image.Modules(p.modules, m.Modules...)
	if err != nil {
		return err
	}
	files := make(map[string][]byte)
	if files["xen"], err = image.Kernel(ctx, p.xen); err != nil {
		return err
	}
	if files["vmlinux"], err = image.Kernel(ctx, p.kernel); err != nil {
		return err
	}
	guest, err := p.common(programs, modules)
	if err != nil {
		return err
	}
	packed, err := guest.Pack()
	if err != nil {
		return fmt.Errorf("make the guest's initramfs: %w", err)
	}
	dom0, err := p.common(programs, modules)
	if err != nil {
		return err
	}
	if err := p.dom0(dom0, files["vmlinux"], packed); err != nil {
		return err
	}
	if files["dom0.img"], err = dom0.Gzip(); err != nil {
		return fmt.Errorf("make dom0's initramfs: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the images' directory: %w", err)
	}
	for name, content := range files {
		// By renaming, so that a QEMU that is starting elsewhere reads the old
		// file or the new one.
		tmp := filepath.Join(dir, "."+name)
		if err = os.WriteFile(tmp, content, 0o644); err == nil {
			err = os.Rename(tmp, filepath.Join(dir, name))
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// common is what dom0's and the guests' images have both.
func (p *packages) common(programs map[string]string, modules []string) (*image.Image, error) {
	im := image.New()
	for _, dir := range []string{
		"dev", "proc", "sys", "run", "tmp", "root", "var/log", "var/lib", "etc", "lib", "usr/lib",
	} {
		im.Add(cpio.Directory(dir, 0o755))
	}
	im.Add(
		cpio.Symlink("var/run", "/run"),
		cpio.Symlink("var/lock", "/run/lock"),
		cpio.Symlink("init", BinDir+"/init"),
		cpio.CharDev("dev/console", 0o600, 5, 1),
		cpio.CharDev("dev/null", 0o666, 1, 3),
		cpio.StaticFile("etc/passwd", "root::0:0:root:/:/bin/sh\n", 0o644),
		cpio.StaticFile("etc/group", "root:x:0:\n", 0o644),
	)
	im.File("bin/busybox", p.busybox, 0o755)
	var list strings.Builder
	for _, f := range modules {
		name := agent.ModulesDir + "/" + filepath.Base(f)
		im.File(name, f, 0o644)
		list.WriteString(name + "\n")
	}
	im.Add(cpio.StaticFile(agent.ModulesPath, list.String(), 0o644))
	for name, from := range programs {
		im.File(filepath.Join(BinDir, name), from, 0o755)
	}
	return im, im.Libraries(p.tree, nil, slices.Collect(maps.Values(programs))...)
}

// dom0 adds what only dom0 has: Xen's tools, and what guests are made of.
func (p *packages) dom0(im *image.Image, kernel, guest []byte) error {
	list := []string{p.xenstore}
	im.File("usr/bin/xenstore", p.xenstore, 0o755)
	for _, name := range []string{"chmod", "exists", "list", "ls", "read", "rm", "watch", "write"} {
		im.Add(cpio.Symlink("usr/bin/xenstore-"+name, "xenstore")) // one program that looks at its name
	}
	for _, name := range utilities {
		from := filepath.Join(p.utils, name)
		im.File(UtilsDir+"/"+name, from, 0o755)
		list = append(list, from)
	}
	im.Add(
		cpio.StaticFile(GuestKernel, string(kernel), 0o644),
		cpio.StaticFile(GuestImage, string(guest), 0o644),
		cpio.StaticFile("lab/shell", shellScript, 0o755),
		cpio.StaticFile("etc/xen/guest.cfg", shellGuest.text(), 0o644),
	)
	// Without its own, oxenstored does not find Xen.
	for _, name := range []string{"xl.conf", "oxenstored.conf"} {
		im.File("etc/xen/"+name, filepath.Join(p.config, name), 0o644)
	}
	// libgcc is opened when a thread ends early, which no program says.
	return im.Libraries(p.tree, []string{"libgcc_s.so.1"}, list...)
}

// Prepare makes a machine's images of Debian's packages and this tree's
// programs: it fetches packages that are missing, or newer ones of all if
// update is set, compiles, and packs. It keeps other labs out of the cache
// meanwhile.
func Prepare(ctx context.Context, cache *debian.Cache, m *Machine, update bool) (images string, err error) {
	if err := debian.Require(m.Host); err != nil {
		return "", err
	}
	unlock, err := cache.Lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	tree, err := cache.Fetch(ctx, m.Arch, m.Packages(), update)
	if err != nil {
		return "", err
	}
	p, err := findPackages(tree, m.Arch)
	if err != nil {
		return "", err
	}
	cache.Log("compiling for %s", m.Arch)
	programs, err := compile(ctx, p, m, cache.Path("bin", m.Arch))
	if err != nil {
		return "", err
	}
	cache.Log("making images for %s", m.Arch)
	images = cache.Path("images", "xen-"+m.Arch)
	return images, build(ctx, p, m, programs, images)
}

// packages are the places of what the images are made of, in the tree of all
// packages.
type packages struct {
	tree                             string
	kernel, modules, xen             string
	busybox, xenstore, utils, config string
}

func findPackages(tree, arch string) (*packages, error) {
	p := &packages{tree: tree}
	for pattern, to := range map[string]*string{
		"boot/vmlinuz-*": &p.kernel,
		"lib/modules/*":  &p.modules,
		"boot/xen-" + agent.XenVersion + "-" + arch + ".gz": &p.xen,
		"bin/busybox":      &p.busybox,
		"usr/bin/xenstore": &p.xenstore,
		"etc/xen":          &p.config,
		agent.UtilsDir:     &p.utils,
	} {
		found, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("no fetched package has %s: the lab knows other versions of them (%v)", pattern, err)
		}
		*to = found[0]
	}
	return p, nil
}
