package xen

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/debian"
	"github.com/xentropyd/xentropyd/lab/internal/image"
)

// Where things are in dom0 and in guests.
const (
	BinDir      = "/lab/bin"       // compiled Go programs
	GuestKernel = "/lab/vmlinux"   // dom0 alone
	GuestImage  = "/lab/guest.img" // dom0 alone: the initramfs of the usual guest, not compressed: xl and the guest need not unpack it
	UtilsDir    = "/" + utils      // dom0 alone: Xen's own programs
	utils       = "usr/lib/xen-" + Version + "/bin"
	searchPath  = BinDir + ":/" + utils + ":/usr/sbin:/usr/bin:/sbin:/bin"
)

// programs are what dom0 has of Xen's, in the package xen-utils.
var programs = []string{
	"xl", "libxl-save-helper", "xenstored", "oxenstored", "xenstore-control", "xen-init-dom0", "xenconsoled", "xenconsole", "vchan-socket-proxy", "lsevtchn", "xen-diag",
}

// Images are a machine's files.
type Images struct{ Dir string }

// Build makes a machine's images: Xen, the kernel and dom0's initramfs, which holds the guests' one. Machines of one architecture share them.
// Programs are compiled programs for dom0 and guests, by the name that they get there.
func Build(ctx context.Context, cache *debian.Cache, m *Machine, programs map[string]string) (*Images, error) {
	p, err := findPackages(cache, m)
	if err != nil {
		return nil, err
	}
	parts, err := p.common(m, programs)
	if err != nil {
		return nil, err
	}
	kernel, err := image.Kernel(ctx, p.kernel)
	if err != nil {
		return nil, err
	}
	guest, err := p.guest(parts)
	if err != nil {
		return nil, fmt.Errorf("make the guest's initramfs: %w", err)
	}
	dom0, err := p.dom0(parts, kernel, guest)
	if err != nil {
		return nil, fmt.Errorf("make dom0's initramfs: %w", err)
	}
	images := &Images{Dir: filepath.Join(cache.Root, "images", "xen-"+m.Arch)}
	if err := os.MkdirAll(images.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the images' directory: %w", err)
	}
	hypervisor, err := p.hypervisor()
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{"xen": hypervisor, "vmlinux": kernel, "dom0.img": dom0} {
		// By renaming, so that a QEMU that is starting elsewhere reads the old file or the new one.
		tmp := filepath.Join(images.Dir, "."+name)
		err := os.WriteFile(tmp, content, 0o644)
		if err == nil {
			err = os.Rename(tmp, filepath.Join(images.Dir, name))
		}
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
	}
	return images, nil
}

// parts is what dom0's and the guests' images have in common.
type parts struct {
	base    func() *image.Image
	modules []string // paths in the image
}

func (p *packages) common(m *Machine, programs map[string]string) (*parts, error) {
	files, err := image.Modules(p.modules, m.Modules...)
	if err != nil {
		return nil, err
	}
	var in []string
	for _, f := range files {
		in = append(in, "/lab/modules/"+filepath.Base(f))
	}
	libs, err := image.Libraries(p.dirs, nil, slices.Collect(maps.Values(programs))...)
	if err != nil {
		return nil, err
	}
	return &parts{modules: in, base: func() *image.Image {
		im := image.New()
		im.Dir("dev", "proc", "sys", "run", "tmp", "root", "var/log", "var/lib", "etc", "lib", "usr/lib")
		im.Link("var/run", "/run")
		im.Link("var/lock", "/run/lock")
		im.Device("dev/console", 0o600, 5, 1)
		im.Device("dev/null", 0o666, 1, 3)
		im.Bytes("etc/passwd", []byte("root::0:0:root:/:/bin/sh\n"), 0o644)
		im.Bytes("etc/group", []byte("root:x:0:\n"), 0o644)
		im.File("bin/busybox", p.busybox, 0o755)
		for i, f := range files {
			im.File(in[i], f, 0o644)
		}
		for name, from := range programs {
			im.File(filepath.Join(BinDir, name), from, 0o755)
		}
		for _, l := range libs {
			im.File(l.Name, l.From, 0o755)
		}
		im.Link("init", BinDir+"/init")
		return im
	}}, nil
}

func (p *packages) guest(parts *parts) ([]byte, error) {
	im := parts.base()
	if err := setConfig(im, agent.Config{Role: agent.RoleGuest, Path: searchPath, Modules: parts.modules}); err != nil {
		return nil, err
	}
	return im.Pack()
}

func (p *packages) dom0(parts *parts, kernel, guest []byte) ([]byte, error) {
	im := parts.base()
	if err := setConfig(im, agent.Config{Role: agent.RoleDom0, Path: searchPath, Modules: parts.modules, Restart: true}); err != nil {
		return nil, err
	}
	files := map[string]string{"usr/bin/xenstore": p.xenstore}
	for _, name := range programs {
		files[utils+"/"+name] = filepath.Join(p.utils, name)
	}
	var list []string
	for name, from := range files {
		im.File(name, from, 0o755)
		list = append(list, from)
	}
	for _, name := range []string{"chmod", "exists", "list", "ls", "read", "rm", "watch", "write"} {
		im.Link("usr/bin/xenstore-"+name, "xenstore") // one program that looks at its name
	}
	// libgcc is opened when a thread ends early, which no program says.
	libs, err := image.Libraries(p.dirs, []string{"libgcc_s.so.1"}, list...)
	if err != nil {
		return nil, err
	}
	for _, l := range libs {
		im.File(l.Name, l.From, 0o755)
	}
	im.Bytes(GuestKernel, kernel, 0o644)
	im.Bytes(GuestImage, guest, 0o644)
	for _, name := range []string{"xl.conf", "oxenstored.conf"} { // without its own, oxenstored does not find Xen
		im.File("etc/xen/"+name, filepath.Join(p.config, name), 0o644)
	}
	im.Bytes("lab/shell", []byte(shellScript), 0o755)
	return im.Gzip()
}

func setConfig(im *image.Image, c agent.Config) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	im.Bytes(agent.ConfigPath, b, 0o644)
	return nil
}
