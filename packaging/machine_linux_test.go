package packaging

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// patience bounds what must happen at some time, on whatever machine.
const patience = 60 * time.Second

// unitPath is where the machine's systemd finds its units, and nowhere else.
const unitPath = "/etc/boot"

// systemUnits are those of systemd itself that make a boot.
var systemUnits = []string{
	"sysinit.target", "basic.target", "multi-user.target", "shutdown.target", "umount.target", "local-fs.target",
	"local-fs-pre.target", "sockets.target", "paths.target", "timers.target", "slices.target", "swap.target",
	"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket",
}

// machine is a systemd in namespaces of its own, on a copy of this machine's
// files.
type machine struct {
	t       *testing.T
	dir     string
	cgroup  string // its name, below the root of the cgroup file system
	systemd *exec.Cmd
}

// files builds what the machine has above this one's files. Paths are the
// machine's own.
type files struct {
	t    *testing.T
	root string
}

func (f files) write(path string, text []byte, mode fs.FileMode) {
	f.t.Helper()
	path = filepath.Join(f.root, path)
	require.NoError(f.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(f.t, os.WriteFile(path, text, mode))
	require.NoError(f.t, os.Chmod(path, mode))
}

func (f files) copy(path, from string, mode fs.FileMode) {
	f.t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(f.t, err)
	f.write(path, text, mode)
}

var wantedBy = regexp.MustCompile(`(?m)^WantedBy=(\S+)$`)

// unit installs a unit and enables it, as systemctl enable would.
func (f files) unit(from string, change ...string) {
	f.t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(f.t, err)
	name := filepath.Base(from)
	f.write(unitPath+"/"+name, []byte(strings.NewReplacer(change...).Replace(string(text))), 0o644)
	if target := wantedBy.FindSubmatch(text); target != nil {
		wants := filepath.Join(f.root, unitPath, string(target[1])+".wants")
		require.NoError(f.t, os.MkdirAll(wants, 0o755))
		require.NoError(f.t, os.Symlink("../"+name, filepath.Join(wants, name)))
	}
}

// system installs what every machine here has.
func (f files) system() {
	for _, u := range systemUnits {
		f.copy(unitPath+"/"+u, "/lib/systemd/system/"+u, 0o644)
	}
	wants := filepath.Join(f.root, unitPath, "sysinit.target.wants")
	require.NoError(f.t, os.MkdirAll(wants, 0o755))
	require.NoError(f.t, os.Symlink("../systemd-journald.service", filepath.Join(wants, "systemd-journald.service")))
	f.write("/etc/fstab", nil, 0o644)
	f.write("/etc/machine-id", []byte("0123456789abcdef0123456789abcdef\n"), 0o444)
}

// The stages of the child that becomes the machine's systemd, told by the
// environment.
const (
	stageEnv = "XENTROPYD_BOOT_STAGE"
	dirEnv   = "XENTROPYD_BOOT_DIR"
	groupEnv = "XENTROPYD_BOOT_CGROUP"
)

// boot starts a machine and ends it with the test.
func boot(t *testing.T, install func(f files)) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "xentropyd-boot-")
	require.NoError(t, err)
	m := &machine{t: t, dir: dir, cgroup: filepath.Base(dir)}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) }) // nothing is mounted in it here
	for _, d := range []string{"files", "layers", "root", "cgroup"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	f := files{t, filepath.Join(dir, "files")}
	f.system()
	install(f)

	output, err := os.Create(filepath.Join(dir, "output")) // of its making; systemd logs to the journal
	require.NoError(t, err)
	defer output.Close()
	runtime.LockOSThread() // the machine ends with the thread that started it
	t.Cleanup(runtime.UnlockOSThread)
	m.systemd = m.stage("boot")
	m.systemd.Stdout, m.systemd.Stderr = output, output
	m.systemd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC |
		syscall.CLONE_NEWNET
	require.NoError(t, m.systemd.Start(), "make namespaces; this needs root")
	t.Cleanup(m.end)
	m.eventually("the boot is over", func() bool { return m.state("multi-user.target") == "active" })
	return m
}

// stage is this program, doing its part of a machine in a mount namespace of
// its own.
func (m *machine) stage(name string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Env = []string{stageEnv + "=" + name, dirEnv + "=" + m.dir, groupEnv + "=" + m.cgroup}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return c
}

// end kills all of the machine: its first process takes the others with it.
// What it mounted goes with its namespace.
func (m *machine) end() {
	if m.t.Failed() {
		said, _ := os.ReadFile(filepath.Join(m.dir, "output"))
		m.t.Logf("the machine said: %s", said)
		_, journal := m.run("journalctl", "--no-pager")
		m.t.Logf("its journal:\n%s", journal)
	}
	_ = m.systemd.Process.Kill()
	_ = m.systemd.Wait()
	out, err := m.stage("sweep").CombinedOutput()
	require.NoError(m.t, err, "remove the machine's cgroups: %s", out)
}

func (m *machine) eventually(what string, f func() bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if f() {
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("within %v it never came to be: %s", patience, what)
		}
	}
}

// run runs a command inside and returns its exit status and what it said.
func (m *machine) run(args ...string) (code int, out string) {
	m.t.Helper()
	enter := []string{
		"--target", strconv.Itoa(m.systemd.Process.Pid), "--mount", "--uts", "--ipc", "--net", "--pid",
		"--cgroup", "--wd=/", "--",
	}
	c := exec.Command("nsenter", append(enter, args...)...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_UNIT_PATH=" + unitPath, "LC_ALL=C.UTF-8"}
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(m.t, err)
	}
	return c.ProcessState.ExitCode(), b.String()
}

// journal is what a unit's processes have said so far.
func (m *machine) journal(unit string, more ...string) string {
	m.t.Helper()
	return m.must(append([]string{
		"journalctl", "--no-pager", "--quiet", "--output", "cat",
		"--unit", unit,
	}, more...)...)
}

// must runs a command that has to work.
func (m *machine) must(args ...string) string {
	m.t.Helper()
	code, out := m.run(args...)
	require.Zero(m.t, code, "%v: %s", args, out)
	return out
}

// show is a property of a unit, "" while systemd does not answer.
func (m *machine) show(unit, property string) string {
	m.t.Helper()
	code, out := m.run("systemctl", "show", unit, "--property", property, "--value")
	if code != 0 {
		return ""
	}
	return strings.TrimSpace(out)
}

func (m *machine) state(unit string) string { m.t.Helper(); return m.show(unit, "ActiveState") }

// at is a time of a unit's on the monotonic clock, such as ActiveEnter or
// ExecMainStart.
func (m *machine) at(unit, event string) time.Duration {
	m.t.Helper()
	property := event + "TimestampMonotonic"
	n, err := strconv.ParseInt(m.show(unit, property), 10, 64)
	require.NoError(m.t, err, "%s of %s", property, unit)
	require.NotZero(m.t, n, "%s of %s", property, unit)
	return time.Duration(n) * time.Microsecond
}

// path is where a file of the machine's is seen from here.
func (m *machine) path(path string) string {
	return fmt.Sprintf("/proc/%d/root%s", m.systemd.Process.Pid, path)
}

func TestMain(tests *testing.M) {
	runtime.LockOSThread() // namespaces are a thread's
	var err error
	switch os.Getenv(stageEnv) {
	case "":
		runtime.UnlockOSThread()
		os.Exit(tests.Run())
	case "boot":
		err = becomeSystemd(os.Getenv(dirEnv), os.Getenv(groupEnv))
	case "sweep":
		err = sweep(os.Getenv(dirEnv), os.Getenv(groupEnv))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// step adds to an error what was being done.
func step(err *error, what string, f func() error) {
	if *err == nil {
		if e := f(); e != nil {
			*err = fmt.Errorf("%s: %w", what, e)
		}
	}
}

// becomeSystemd runs as process 1 of the new namespaces: it makes a root
// directory from this machine's files and those below files/, with kernel file
// systems of its own, and becomes systemd.
func becomeSystemd(dir, group string) (err error) {
	at := func(path string) string { return filepath.Join(dir, path) }
	mount := func(kind, target, options string, flags uintptr) {
		step(&err, "mount "+kind+" on "+target, func() error {
			if err := os.MkdirAll(target, 0o755); err != nil {
				return err
			}
			return unix.Mount(kind, target, kind, flags, options)
		})
	}
	step(&err, "make mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") })
	mount("cgroup2", at("cgroup"), "", 0)
	step(&err, "enter a cgroup", func() error { return enterCgroup(at("cgroup/" + group)) })
	mount("tmpfs", at("layers"), "mode=755", 0)
	step(&err, "copy files", func() error { return os.CopyFS(at("layers/upper"), os.DirFS(at("files"))) })
	step(&err, "make a directory", func() error { return os.Mkdir(at("layers/work"), 0o755) })
	root := at("root")
	layers := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", at("layers/upper"), at("layers/work"))
	mount("overlay", root, layers, 0)
	mount("proc", root+"/proc", "", 0)
	mount("sysfs", root+"/sys", "", unix.MS_RDONLY)
	mount("cgroup2", root+"/sys/fs/cgroup", "", 0)
	mount("tmpfs", root+"/run", "mode=755", 0)
	mount("tmpfs", root+"/tmp", "mode=1777", 0)
	mount("tmpfs", root+"/dev", "mode=755", 0)
	step(&err, "make devices", func() error { return makeDevices(root + "/dev") })
	step(&err, "change the root", func() error {
		return errors.Join(unix.Chdir(root), unix.PivotRoot(".", "."),
			unix.Unmount(".", unix.MNT_DETACH), unix.Chdir("/"))
	})
	if err != nil {
		return err
	}
	// A container: systemd leaves the kernel's settings alone.
	env := []string{"container=boot-test", "SYSTEMD_UNIT_PATH=" + unitPath, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	const program = "/lib/systemd/systemd"
	return unix.Exec(program, []string{
		program, "--unit=multi-user.target",
		"--log-target=journal", "--show-status=no",
	}, env)
}

// enterCgroup makes a cgroup the root of a new namespace, and this process its
// first.
func enterCgroup(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+"/cgroup.procs", []byte("0"), 0); err != nil {
		return err
	}
	return unix.Unshare(unix.CLONE_NEWCGROUP)
}

func makeDevices(dev string) error {
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty", "hwrng"} {
		var s unix.Stat_t
		if err := unix.Stat("/dev/"+name, &s); err != nil {
			continue // not every machine has all
		}
		if err := unix.Mknod(dev+"/"+name, s.Mode, int(s.Rdev)); err != nil {
			return err
		}
	}
	return errors.Join(os.Symlink("/proc/self/fd", dev+"/fd"), os.Mkdir(dev+"/shm", 0o1777))
}

// sweep removes the cgroups of a machine that has ended.
func sweep(dir, group string) (err error) {
	step(&err, "make mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") })
	at := filepath.Join(dir, "cgroup")
	step(&err, "mount", func() error { return unix.Mount("cgroup2", at, "cgroup2", 0, "") })
	if err != nil {
		return err
	}
	for range 100 {
		if err = removeCgroups(filepath.Join(at, group)); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(50 * time.Millisecond) // its last processes are being reaped
	}
	return err
}

func removeCgroups(path string) error {
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.IsDir() {
			if err := removeCgroups(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return unix.Rmdir(path)
}
