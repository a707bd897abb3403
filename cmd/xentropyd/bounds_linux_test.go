package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/othertest"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport/local"
)

// fromUnit reads a number from the unit, in bytes where it has a unit.
func fromUnit(t *testing.T, key string) int {
	text, err := os.ReadFile("../../packaging/xentropyd.service")
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^` + key + `=(\d+)(M?)$`).FindSubmatch(text)
	require.NotNil(t, m, key)
	n, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	if len(m[2]) > 0 {
		n <<= 20
	}
	return n
}

// usage is what a process takes: threads, and bytes of memory of its own and of
// the pages that it shares with guests.
func usage(t *testing.T, pid int) (threads, memory int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		switch f[0] {
		case "Threads:":
			threads, err = strconv.Atoi(f[1])
			require.NoError(t, err)
		case "RssAnon:", "RssShmem:", "VmSwap:":
			n, err := strconv.Atoi(f[1])
			require.NoError(t, err)
			memory += n << 10
		}
	}
	return threads, memory
}

// sayHello opens sessions of one user until the host closes one, or there are
// n, and keeps them.
func sayHello(t *testing.T, path string, uid, n int) (conns []net.Conn) {
	othertest.As(t, uid, uid, func() {
		for i := range n {
			c, err := local.Dial(context.Background(), path)
			if err != nil {
				return
			}
			g := protocol.NewGuest(protocol.Hello{Nonce: [protocol.NonceSize]byte{byte(uid), byte(uid >> 8), byte(i)}})
			if _, err := c.Write(g.AppendHello(nil)); err != nil {
				return
			}
			conns = append(conns, c)
		}
	})
	return conns
}

// startBounded starts a daemon that everybody may use, in a memory cgroup if
// one is given, and waits until it is seeded.
func startBounded(t *testing.T, cgroup string) (c config.Config, pid int, client *control.Client) {
	dir, err := os.MkdirTemp("/tmp", "xentropyd-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	c = config.UserDefault(dir, dir)
	file := filepath.Join(dir, "x.toml")
	require.NoError(t, os.WriteFile(file,
		fmt.Appendf(nil, "listen = [%q]\nsocket_mode = \"0666\"\ncontrol = %q\nseed_file = %q\nlog_level = \"error\"\n",
			c.Listen[0], c.Control, c.SeedFile), 0o600))
	d := exec.Command("/proc/self/exe", "run", "--config", file)
	d.Args[0], d.Stderr = "xentropyd", os.Stderr
	require.NoError(t, d.Start())
	t.Cleanup(func() {
		_ = d.Process.Signal(syscall.SIGTERM)
		_ = d.Wait()
	})
	if cgroup != "" {
		require.NoError(t, os.WriteFile(filepath.Join(cgroup, "cgroup.procs"),
			strconv.AppendInt(nil, int64(d.Process.Pid), 10), 0o644))
	}
	client = control.Dial(c.Control)
	for {
		if s, err := client.Status(t.Context()); err == nil && s.Entropy.Seeded {
			return c, d.Process.Pid, client
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestBounds fills the daemon to its ceilings, by many users, and holds what it
// takes against the unit's limits. Half of those is for what a test does not
// think of.
func TestBounds(t *testing.T) {
	c, pid, client := startBounded(t, "")
	path := strings.TrimPrefix(c.Listen[0], "local:")
	var lim unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &lim))
	if lim.Cur < 6000 {
		t.Skip("too few file descriptors: run it after ulimit -n 6000")
	}

	var all []net.Conn
	defer func() {
		for _, c := range all {
			_ = c.Close()
		}
	}()
	stop := make(chan struct{})
	var watch sync.WaitGroup
	most, mostMemory := 0, 0
	watch.Go(func() {
		for {
			threads, memory := usage(t, pid)
			most, mostMemory = max(most, threads), max(mostMemory, memory)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	perGuest := c.Limits.SessionsPerGuest
	for uid := 50000; len(all) < c.Limits.Sessions+40*perGuest; uid++ { // the last ones make others yield
		all = append(all, sayHello(t, path, uid, perGuest)...)
	}
	for range 5 { // each wakes them all
		_, err := client.NewGeneration(t.Context(), "")
		require.NoError(t, err)
	}
	s, err := client.Status(t.Context())
	require.NoError(t, err)
	close(stop)
	watch.Wait()
	tasks, memory := fromUnit(t, "TasksMax"), fromUnit(t, "MemoryMax")
	t.Logf("%d sessions at the end: at most %d threads of %d, %.1f MiB of %d", s.Server.Sessions, most, tasks,
		float64(mostMemory)/(1<<20), memory>>20)
	require.GreaterOrEqual(t, s.Server.Sessions, c.Limits.Sessions)
	const heldUp = 64 // that of internal/unixsock, on a kernel before 6.16
	require.LessOrEqual(t, 2*most+heldUp, tasks)
	if !raceEnabled { // the detector takes eight times as much
		require.LessOrEqual(t, mostMemory, memory/2)
	}
}

// memoryCgroup makes a memory cgroup, and gives it and the file that says what
// it uses.
func memoryCgroup(t *testing.T) (dir, usage string) {
	for _, v := range [][2]string{
		{"/sys/fs/cgroup", "memory.current"},
		{"/sys/fs/cgroup/memory", "memory.usage_in_bytes"},
	} {
		dir = fmt.Sprintf("%s/xentropyd-test-%d", v[0], os.Getpid())
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		usage = filepath.Join(dir, v[1])
		if _, err := os.Stat(usage); err == nil {
			return dir, usage
		}
	}
	t.Skip("no memory cgroup can be made: run it as root where /sys/fs/cgroup is writable")
	return "", ""
}

// TestKeptMemory: what the kernel keeps on the daemon's account for guests that
// give nothing back, dead sessions included, is bounded by user, and for all of
// them together by half of the unit's memory at most.
func TestKeptMemory(t *testing.T) {
	cgroup, file := memoryCgroup(t)
	c, _, client := startBounded(t, cgroup)
	used := func() int {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		require.NoError(t, err)
		return n
	}
	path := strings.TrimPrefix(c.Listen[0], "local:")
	var kept []net.Conn
	defer func() {
		for _, c := range kept {
			_ = c.Close()
		}
	}()
	before := used()
	most := 4 * c.Limits.SessionsPerGroup
	var refused error
	othertest.As(t, 50000, 50000, func() {
		for refused == nil || !strings.Contains(refused.Error(), "still held") {
			var conn net.Conn
			if conn, refused = local.Dial(context.Background(), path); refused == nil {
				kept = append(kept, conn) // the host ends those that are too many, and those that say nothing
			}
			if len(kept) > most {
				return
			}
			time.Sleep(time.Duration(float64(time.Second) / c.Limits.NewSessionsPerSecond))
		}
	})
	require.Len(t, kept, most)
	for range 5 {
		_, err := client.NewGeneration(t.Context(), "")
		require.NoError(t, err)
	}
	each := max(0, used()-before) / most
	const all = 16384 / 3 // that of internal/lend, with the kernel's usual settings
	t.Logf("%d channels of one user, with %d bytes each; %d of all users would have %.1f MiB", most, each, all,
		float64(all*each)/(1<<20))
	if !raceEnabled {
		require.LessOrEqual(t, all*each, fromUnit(t, "MemoryMax")/2)
	}
}
