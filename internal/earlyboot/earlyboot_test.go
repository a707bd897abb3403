package earlyboot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// put writes a file and its directories.
func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

// machine notes what is mounted below a directory.
type machine struct {
	mounter
	done []string
	fail map[string]error
}

func newMachine(t *testing.T) *machine {
	m := &machine{fail: map[string]error{}}
	m.root = t.TempDir()
	m.mount = func(target, fs string) error {
		if err := m.fail[fs]; err != nil {
			return err
		}
		m.done = append(m.done, fs+" "+strings.TrimPrefix(target, m.root))
		return nil
	}
	m.unmount = func(target string) error {
		m.done = append(m.done, "undo "+strings.TrimPrefix(target, m.root))
		return m.fail["undo"]
	}
	return m
}

func TestMountBare(t *testing.T) {
	m := newMachine(t)
	mounts, err := m.mountAll()
	require.NoError(t, err)
	assert.Equal(t, []string{"proc /proc", "sysfs /sys", "devtmpfs /dev"}, m.done)
	assert.DirExists(t, m.root+"/sys", "made")
	assert.Len(t, mounts.Targets(), 3)
	m.done = nil
	require.NoError(t, mounts.Undo())
	assert.Equal(t, []string{"undo /dev", "undo /sys", "undo /proc"}, m.done)
	m.done = nil
	require.NoError(t, mounts.Undo())
	assert.Empty(t, m.done, "once")
}

func TestMountXen(t *testing.T) {
	m := newMachine(t)
	require.NoError(t, os.MkdirAll(m.root+"/proc/xen", 0o755))
	_, err := m.mountAll()
	require.NoError(t, err)
	assert.Contains(t, m.done, "xenfs /proc/xen")

	m = newMachine(t)
	require.NoError(t, os.MkdirAll(m.root+"/proc/xen", 0o755))
	m.fail["xenfs"] = errors.New("no such device")
	mounts, err := m.mountAll()
	assert.NoError(t, err, "can be done without")
	assert.Len(t, mounts.Targets(), 3)
}

func TestMountedAlready(t *testing.T) {
	m := newMachine(t)
	put(t, m.root+"/proc/self/mountinfo",
		"22 1 0:21 / /proc rw - proc proc rw\n23 1 0:5 / /dev rw,nosuid shared:2 - devtmpfs udev rw\n24 1 0:5 / "+
			"/proc/xen rw - xenfs xenfs rw\nshort\n")
	require.NoError(t, os.MkdirAll(m.root+"/sys/kernel", 0o755))
	require.NoError(t, os.MkdirAll(m.root+"/proc/xen", 0o755))
	mounts, err := m.mountAll()
	require.NoError(t, err)
	assert.Empty(t, m.done)
	assert.NoError(t, mounts.Undo())
}

func TestMountFails(t *testing.T) {
	m := newMachine(t)
	m.fail["sysfs"] = fs.ErrPermission
	m.fail["undo"] = fs.ErrInvalid
	mounts, err := m.mountAll()
	assert.ErrorIs(t, err, fs.ErrPermission)
	assert.ErrorContains(t, err, "sysfs")
	assert.Equal(t, []string{"proc /proc", "devtmpfs /dev"}, m.done, "the rest")
	assert.ErrorIs(t, mounts.Undo(), fs.ErrInvalid)
}

// TestInit: number 1 is a machine's init in the machine's own namespace alone.
func TestInit(t *testing.T) {
	link := func(namespace string) func(*testing.T, *machine) {
		return func(t *testing.T, m *machine) {
			require.NoError(t, os.MkdirAll(m.root+"/proc/self/ns", 0o755))
			require.NoError(t, os.Symlink(namespace, m.root+"/proc/self/ns/pid"))
		}
	}
	// mounted has no /proc until it is mounted.
	mounted := func(namespace string) func(*testing.T, *machine) {
		return func(t *testing.T, m *machine) {
			mount := m.mount
			m.mount = func(target, fs string) error { link(namespace)(t, m); return mount(target, fs) }
		}
	}
	file := func(path string) func(*testing.T, *machine) {
		return func(t *testing.T, m *machine) { put(t, m.root+path, "") }
	}
	fail := func(err error) func(*testing.T, *machine) {
		return func(_ *testing.T, m *machine) { m.fail["proc"] = err }
	}
	const own, other = "pid:[4026531836]", "pid:[4026532177]"
	for name, c := range map[string]struct {
		pid       int
		container string
		setup     []func(*testing.T, *machine)
		want      bool
	}{
		"another number":          {2, "", []func(*testing.T, *machine){link(own)}, false},
		"init":                    {1, "", []func(*testing.T, *machine){link(own)}, true},
		"container":               {1, "", []func(*testing.T, *machine){link(other)}, false},
		"an image made of one":    {1, "", []func(*testing.T, *machine){link(own), file("/.dockerenv")}, true},
		"initramfs":               {1, "", []func(*testing.T, *machine){mounted(own)}, true},
		"container without /proc": {1, "", []func(*testing.T, *machine){mounted(other)}, false},
		"may not mount":           {1, "", []func(*testing.T, *machine){fail(fs.ErrPermission)}, false},
		"kernel without /proc":    {1, "", []func(*testing.T, *machine){fail(errors.New("no such device"))}, true},
		"the same, in a container": {1, "podman", []func(*testing.T,
			*machine){fail(errors.New("no such device"))}, false},
		"the same, in Docker's": {1, "", []func(*testing.T, *machine){
			fail(errors.New("no such device")),
			file("/.dockerenv"),
		}, false},
		"the same, in Podman's": {1, "", []func(*testing.T, *machine){
			fail(errors.New("no such device")),
			file("/run/.containerenv"),
		}, false},
		"a /proc that has no ns/pid": {1, "lxc", []func(*testing.T, *machine){file("/proc/self/stat")}, false},
		"an old kernel's /proc":      {1, "", []func(*testing.T, *machine){file("/proc/self/stat")}, true},
		"another system":             {1, "", []func(*testing.T, *machine){fail(ErrUnsupported)}, false},
	} {
		m := newMachine(t)
		for _, f := range c.setup {
			f(t, m)
		}
		env := func(name string) string {
			assert.Equal(t, "container", name)
			return c.container
		}
		assert.Equal(t, c.want, m.isInit(c.pid, env), name)
		if len(m.done) > 0 {
			assert.Equal(t, []string{"proc /proc", "undo /proc"}, m.done, name)
		}
	}
}

// inserter notes what is loaded.
type inserter struct {
	dir  string
	done []string
	fail map[string]error
}

func (i *inserter) insert(path string, packed bool) error {
	name, _ := filepath.Rel(i.dir, path)
	if packed {
		name += " packed"
	}
	i.done = append(i.done, name)
	return i.fail[filepath.Base(path)]
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{
		"kernel/drivers/xen/xen-evtchn.ko", "kernel/drivers/xen/xen_gntalloc.ko.xz",
		"kernel/a/first.ko", "kernel/a/second.ko", "kernel/a/notxen-evtchn.ko", "kernel/xen-evtchn.txt",
	} {
		put(t, filepath.Join(dir, p), "")
	}
	put(t, filepath.Join(dir, "modules.dep"),
		"kernel/a/x.ko: kernel/a/first.ko\nkernel/drivers/xen/xen-evtchn.ko: kernel/a/second.ko "+
			"kernel/a/first.ko\nno colon\n")
	put(t, filepath.Join(dir, "modules.builtin"), "kernel/drivers/xen/xen-privcmd.ko\n")
	i := &inserter{dir: dir}
	require.NoError(t, load(dir, i.insert, []string{"xen-evtchn", "xen-gntalloc", "xen_privcmd"}))
	assert.Equal(t, []string{
		"kernel/a/first.ko", "kernel/a/second.ko", "kernel/drivers/xen/xen-evtchn.ko",
		"kernel/drivers/xen/xen_gntalloc.ko.xz packed",
	}, i.done)

	i = &inserter{dir: dir, fail: map[string]error{"first.ko": fs.ErrExist, "xen-evtchn.ko": fs.ErrPermission}}
	err := load(dir, i.insert, []string{"xen-evtchn", "xen-gntalloc"})
	assert.ErrorIs(t, err, fs.ErrPermission)
	assert.ErrorContains(t, err, "load kernel module xen-evtchn")
	assert.Len(t, i.done, 4, "one that is there is no error, and the next one is tried too")

	err = load(dir, i.insert, []string{"xen-nothing"})
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, dir)
	assert.ErrorIs(t, load(dir+"/none", i.insert, []string{"x"}), fs.ErrNotExist)
}

// TestThisMachine loads a module that no kernel has.
func TestThisMachine(t *testing.T) {
	assert.Error(t, Load("", "no-such-module-of-xentropyd"))
	assert.Error(t, Load(t.TempDir(), "no-such-module-of-xentropyd"))
}
