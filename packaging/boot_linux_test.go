package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/guest/kernelrng"
)

const (
	hostUnit  = "xentropyd.service"
	guestUnit = "entropy-guest.service"
	bootEnv   = "XENTROPYD_BOOT"
)

// needBoot skips unless it was asked for: it takes root, namespaces and some
// seconds.
func needBoot(t *testing.T) {
	t.Helper()
	if os.Getenv(bootEnv) == "" {
		t.Skip("boots systemd in namespaces; to run this test, as root: make boot")
	}
	require.Zero(t, os.Geteuid(), "this needs root")
}

// programs builds both, static, once.
var programs = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "xentropyd-boot-bin-"); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "../cmd/xentropyd", "../cmd/entropy-guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return dir, build.Run()
})

func (f files) program(name string) {
	f.t.Helper()
	dir, err := programs()
	require.NoError(f.t, err)
	f.copy("/usr/bin/"+name, filepath.Join(dir, name), 0o755)
}

// host installs xentropyd as the README says, on a Xen host too.
func (f files) host() {
	f.t.Helper()
	f.program("xentropyd")
	f.unit(hostUnit)
	f.copy(unitPath+"/"+hostUnit+".d/xen.conf", "xentropyd-xen.conf", 0o644)
	f.copy("/etc/xentropyd/xentropyd.toml", "xentropyd.toml", 0o644)
	f.copy("/etc/group", "/etc/group", 0o644)
	f.copy("/usr/lib/sysusers.d/xentropyd.conf", "xentropyd.sysusers", 0o644)
	out, err := exec.Command("systemd-sysusers", "--root="+f.root, "xentropyd.conf").CombinedOutput()
	require.NoError(f.t, err, string(out))
}

func (f files) guest() {
	f.t.Helper()
	f.program("entropy-guest")
	f.unit(guestUnit)
	k, err := kernelrng.Open()
	if err == nil {
		require.NoError(f.t, k.Close())
		return
	}
	f.t.Logf("this kernel may not be fed from here, so entropy-guest runs dry: %v", err)
	f.write(unitPath+"/"+guestUnit+".d/dry.conf",
		[]byte("[Service]\nExecStart=\nExecStart=/usr/bin/entropy-guest run --wait 10s --dry-run\n"), 0o644)
}

func TestBoot(t *testing.T) {
	needBoot(t)
	t.Cleanup(func() {
		if dir, err := programs(); err == nil {
			require.NoError(t, os.RemoveAll(dir))
		}
	})
	t.Run("Both", both)
	t.Run("GuestAlone", guestAlone)
	t.Run("BrokenConfiguration", brokenConfiguration)
}

// both has host and guest on one machine.
func both(t *testing.T) {
	m := boot(t, func(f files) { f.host(); f.guest() })
	require.Equal(t, "active", m.state(hostUnit))
	require.Equal(t, "active", m.state(guestUnit))
	hostReady := m.at(hostUnit, "ActiveEnter")
	guestStart, guestReady := m.at(guestUnit, "ExecMainStart"), m.at(guestUnit, "ActiveEnter")
	sysinit := m.at("sysinit.target", "ActiveEnter")
	assert.Less(t, hostReady, guestStart, "the host is ready before the guest starts")
	assert.Less(t, guestReady, sysinit, "the guest is ready before anything ordinary starts")
	assert.Equal(t, "seeded", m.show(guestUnit, "StatusText"), "it was not told to go on without")
	assert.Equal(t, "seeded and serving", m.show(hostUnit, "StatusText"))
	t.Logf("host ready %v after its start, guest %v after its own; sysinit.target %v after the host's start",
		hostReady-m.at(hostUnit, "ExecMainStart"), guestReady-guestStart, sysinit-m.at(hostUnit, "ExecMainStart"))
	m.eventually("entropy-guest status is content", func() bool {
		code, out := m.run("entropy-guest", "status", "--check")
		assert.Empty(t, out)
		return code == 0
	})
	m.must("xentropyd", "status")
	assert.NotContains(t, m.must("xentropyd", "sources"), "not permitted", "the unit shuts out a device")

	t.Run("Reload", func(t *testing.T) { reload(t, m) })
	t.Run("Restart", func(t *testing.T) { restart(t, m) })
}

// reload has a broken file: it fails, says why at the level of errors, and the
// daemon goes on.
func reload(t *testing.T, m *machine) {
	const file = "/etc/xentropyd/xentropyd.toml"
	pid := m.show(hostUnit, "MainPID")
	m.must("systemctl", "reload", hostUnit)
	good, err := os.ReadFile(m.path(file))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(m.path(file), []byte("log_level = \"debug\"\n[budget]\nbytes = 1\n"), 0o644))
	code, out := m.run("systemctl", "reload", hostUnit)
	assert.NotZero(t, code, out)
	assert.Equal(t, "active", m.state(hostUnit))
	assert.Equal(t, pid, m.show(hostUnit, "MainPID"))
	m.must("xentropyd", "status", "--control", "/run/xentropyd/control.sock")
	m.eventually("the journal has the fault, among the errors", func() bool {
		return strings.Contains(m.journal(hostUnit, "-p", "err"), file+":3:1: budget.bytes: 1; want")
	})
	assert.NotRegexp(t, "level=INFO|is good", m.journal(hostUnit, "-p", "warning"))
	assert.NotContains(t, m.journal(hostUnit), "<6>")
	require.NoError(t, os.WriteFile(m.path(file), good, 0o644))
	m.must("systemctl", "reload", hostUnit)
}

// restart keeps the directory that containers mount.
func restart(t *testing.T, m *machine) {
	inode := func() uint64 {
		var s syscall.Stat_t
		require.NoError(t, syscall.Stat(m.path("/run/xentropyd"), &s))
		return s.Ino
	}
	before, pid := inode(), m.show(hostUnit, "MainPID")
	m.must("systemctl", "restart", hostUnit)
	assert.Equal(t, "active", m.state(hostUnit))
	assert.NotEqual(t, pid, m.show(hostUnit, "MainPID"))
	assert.Equal(t, before, inode())
	check := func() int { code, _ := m.run("entropy-guest", "status", "--check"); return code }
	m.eventually("the guest has come back", func() bool { return check() == 0 })

	// Nor is it gone while the host is.
	m.must("systemctl", "stop", hostUnit)
	assert.Equal(t, before, inode())
	assert.Equal(t, "success", m.show(hostUnit, "Result"))
	m.eventually("the guest knows", func() bool { return check() == 3 })
	m.must("systemctl", "stop", guestUnit)
	assert.Equal(t, "success", m.show(guestUnit, "Result"))
	assert.Equal(t, 1, check())
}

// guestAlone has no host at all, and waits for none.
func guestAlone(t *testing.T) {
	m := boot(t, func(f files) { f.guest() })
	assert.Equal(t, "active", m.state(guestUnit))
	assert.Equal(t, "no host here yet", m.show(guestUnit, "StatusText"))
	ready := m.at(guestUnit, "ActiveEnter")
	assert.Less(t, ready, m.at("sysinit.target", "ActiveEnter"))
	t.Logf("ready %v after its start", ready-m.at(guestUnit, "ExecMainStart"))
	code, out := m.run("entropy-guest", "status", "--check")
	assert.Equal(t, 4, code, out)
	assert.Empty(t, m.journal(guestUnit, "-p", "err"))
}

// brokenConfiguration ends the host with status 2, once, and holds nobody up.
func brokenConfiguration(t *testing.T) {
	m := boot(t, func(f files) {
		f.host()
		f.guest()
		f.write("/etc/xentropyd/xentropyd.toml", []byte("polizei = \"stop\"\n"), 0o644)
	})
	time.Sleep(2 * time.Second) // longer than RestartSec=: what comes too late is missed, and nothing else
	assert.Equal(t, "failed", m.state(hostUnit))
	assert.Equal(t, "2", m.show(hostUnit, "ExecMainStatus"))
	assert.Equal(t, "0", m.show(hostUnit, "NRestarts"))
	assert.Equal(t, "active", m.state(guestUnit))
	m.eventually("the journal has the fault, among the errors", func() bool {
		return strings.Contains(m.journal(hostUnit, "-p", "err"), `unknown key "polizei"`)
	})
}
