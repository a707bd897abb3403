package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/guest/kernelrng"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"entropy-guest": main,
		holderName:      main,
		"unprivileged":  unprivileged,
		"hidden":        hidden,
		"contained":     contained,
	})
}

// unprivileged runs a command without CAP_SYS_ADMIN, as root too.
func unprivileged() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0) // not allowed: then there is nothing to drop
	path := os.Args[1]
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		err := syscall.Exec(filepath.Join(dir, path), os.Args[1:], os.Environ())
		if err != nil && err != syscall.ENOENT {
			break
		}
	}
	os.Exit(126)
}

// hidden is entropy-guest run by a user who sees no process but his own
// (proc(5), hidepid).
func hidden() {
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "hidden:", err)
			os.Exit(126)
		}
	}
	const nobody = 65534
	runtime.LockOSThread() // the mount is this thread's, and main's
	must(unix.Unshare(unix.CLONE_NEWNS))
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(unix.Mount("proc", "/proc", "proc", 0, "hidepid=2"))
	must(syscall.Setgroups(nil))
	must(syscall.Setgid(nobody))
	must(syscall.Setuid(nobody))
	if _, err := os.Stat("/proc/1"); err == nil {
		must(errors.New("process 1 is seen"))
	}
	main()
}

// listener gives a transport's guests to a host.
type listener struct{ transport.Listener }

func (l listener) Accept() (transport.Conn, transport.Peer, error) {
	c, p, err := l.Listener.Accept()
	return c, transport.Peer(p), err
}

func listen(path string, d *drawer) (*testHost, error) {
	l, err := all.Carriers.Listen("local:"+path, transport.DefaultListenOptions())
	if err != nil {
		return nil, err
	}
	return startHost(listener{l}, d)
}

// hosts are those of one script, by the path of their socket.
type hosts struct {
	mu sync.Mutex
	m  map[string]*testHost
}

func (h *hosts) put(path string, t *testHost) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.m[path] = t
}

func (h *hosts) take(path string) *testHost {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.m[path]
	delete(h.m, path)
	return t
}

type hostsKey struct{}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			// The work directory's own path may be too long for a socket.
			dir, err := os.MkdirTemp("", "eg")
			if err != nil {
				return err
			}
			h := &hosts{m: make(map[string]*testHost)}
			e.Values[hostsKey{}] = h
			e.Defer(func() {
				for path := range h.m {
					h.take(path).stop()
				}
				_ = os.RemoveAll(dir)
			})
			e.Setenv("GORACE", "atexit_sleep_ms=10") // a second for each command, else
			e.Setenv("SOCK", dir)
			e.Setenv("ENTROPY_HOST", "local:"+dir+"/sock")
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "kernel":
				k, err := kernelrng.Open()
				if err != nil {
					return false, nil
				}
				return true, k.Close()
			case "mount":
				return mayMount(), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve, "unserve": unserve, "newgeneration": newGeneration,
			"status": exitStatus, "size": size, "await": await, "checkjson": checkJSON,
		},
	})
}

// mayMount says whether this process may make namespaces and mount in them.
func mayMount() bool {
	if os.Geteuid() != 0 {
		return false
	}
	c := exec.Command("true")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	return c.Run() == nil
}

// serve [unseeded]: a host listens at $SOCK/sock.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	d := newDrawer()
	d.unseeded.Store(len(args) > 0 && args[0] == "unseeded")
	path := ts.Getenv("SOCK") + "/sock"
	h, err := listen(path, d)
	ts.Check(err)
	ts.Value(hostsKey{}).(*hosts).put(path, h)
}

// unserve: the host goes.
func unserve(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Value(hostsKey{}).(*hosts).take(ts.Getenv("SOCK") + "/sock").stop()
}

// newgeneration: the host begins one.
func newGeneration(ts *testscript.TestScript, _ bool, _ []string) {
	hosts := ts.Value(hostsKey{}).(*hosts)
	path := ts.Getenv("SOCK") + "/sock"
	h := hosts.take(path)
	h.NewGeneration()
	hosts.put(path, h)
}

// status N COMMAND…: the command's exit status must be N.
func exitStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d; stderr: %s", got, want, ts.ReadFile("stderr"))
	}
}

// size FILE N: the file has N bytes. FILE may be stdout.
func size(ts *testscript.TestScript, _ bool, args []string) {
	if got := strconv.Itoa(len(ts.ReadFile(args[0]))); got != args[1] {
		ts.Fatalf("%s has %s bytes, want %s", args[0], got, args[1])
	}
}

// await FILE REGEXP: at some time the file matches.
func await(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[1])
	path := ts.MkAbs(args[0])
	var b []byte
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if b, _ = os.ReadFile(path); want.Match(b) {
			return
		}
	}
	ts.Fatalf("%s never matched %s: %s", args[0], args[1], b)
}

// checkjson FILE: it holds one JSON value and nothing else.
func checkJSON(ts *testscript.TestScript, _ bool, args []string) {
	if !json.Valid([]byte(ts.ReadFile(args[0]))) {
		ts.Fatalf("%s is not one JSON value", args[0])
	}
}

// The daemon dies while a long read is under way: the reader is seeded and
// gives the rest.
func TestHostDiesMidRead(t *testing.T) {
	dir := t.TempDir()
	h, err := listen(dir+"/s", newDrawer())
	require.NoError(t, err)
	defer h.stop()
	r, w := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		args := []string{"read", "-n", "8M", "--require-host", "--host", "local:" + dir + "/s", "--log-level", "error"}
		code <- cli.Run(root(), args, w, &stderr)
		_ = w.Close()
	}()
	first := make([]byte, chunk)
	_, err = io.ReadFull(r, first)
	require.NoError(t, err)
	h.stop()
	n, err := io.Copy(io.Discard, r)
	require.NoError(t, err)
	require.EqualValues(t, 8<<20-chunk, n)
	require.Zero(t, <-code, stderr.String())
	require.Empty(t, stderr.String())
}

// No seed comes from a host that goes away during the handshake.
func TestHostDiesBeforeTheSeed(t *testing.T) {
	dir := t.TempDir()
	l, err := all.Carriers.Listen("local:"+dir+"/s", transport.DefaultListenOptions())
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, _, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	})
	defer wg.Wait()
	defer l.Close()
	var stdout, stderr bytes.Buffer
	args := []string{"read", "-n", "8", "--require-host", "--host", "local:" + dir + "/s"}
	code := cli.Run(root(), args, &stdout, &stderr)
	require.Equal(t, cli.ExitFailure, code)
	require.Empty(t, stdout.String())
	require.Regexp(t, `^entropy-guest: no seed from the host: .*local:/.*\nhint: `, stderr.String())
}

// A read leaves nothing behind in a process that lives on.
func TestReadLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	h, err := listen(dir+"/s", newDrawer())
	require.NoError(t, err)
	defer h.stop()
	read := func() {
		var out, stderr bytes.Buffer
		args := []string{"read", "-n", "16", "--raw", "--require-host", "--host", "local:" + dir + "/s"}
		require.Zero(t, cli.Run(root(), args, &out, &stderr), stderr.String())
		require.Equal(t, 16, out.Len())
	}
	settle := func(goroutines, fds int) (g, f int) {
		for range 400 {
			d, err := os.ReadDir("/proc/self/fd")
			require.NoError(t, err)
			if g, f = runtime.NumGoroutine(), len(d); g <= goroutines && f <= fds {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		return g, f
	}
	before := runtime.NumGoroutine() // before the listener's poller has begun: one more
	read()
	goroutines, fds := settle(before+1, math.MaxInt)
	for range 20 {
		read()
	}
	g, f := settle(goroutines, fds)
	require.LessOrEqual(t, g, goroutines)
	require.LessOrEqual(t, f, fds)
}
