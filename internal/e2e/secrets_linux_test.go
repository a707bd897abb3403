//go:build !race

package e2e

// Not under the race detector: its shadow memory is terabytes, and full of what
// the program wrote.

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// What a process of TestSecretsLeaveNoTrace is told: its part, "host" or
// "guest", and the case.
const (
	secretsPart = "XENTROPYD_E2E_SECRETS"
	secretsDir  = "XENTROPYD_E2E_SECRETS_DIR"
	secretsCase = "XENTROPYD_E2E_SECRETS_CASE"
)

// secretsCases are sessions of different carriers, protocols and seed sizes:
// what is left in a hash's block buffer depends on the length of what it
// hashed.
var secretsCases = map[string]struct {
	carrier   string
	seedBytes int
	version1  bool
}{
	"local, 32 bytes":   {"local", 32, false},
	"local, 64 bytes":   {"local", 64, false},
	"local, 77 bytes":   {"local", 77, false},
	"local, 1024 bytes": {"local", 1024, false},
	"socket, 64 bytes":  {"socket", 64, false},
	"socket, 77 bytes":  {"socket", 77, false},
	"local, protocol 1": {"local", 64, true},
}

func init() {
	parts[secretsPart] = func(part string) error {
		return secretsProcess(part, os.Getenv(secretsDir), os.Getenv(secretsCase))
	}
}

// window is how many bytes of a secret in a row count as a trace.
const window = 16

// masked collects secrets in a form that a search for them does not find. A
// process writes it to a file for its parent.
type masked struct {
	mu    sync.Mutex
	bytes []byte // each secret's length as 32 bits, then its bytes inverted
}

func (m *masked) add(secret []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes = binary.LittleEndian.AppendUint32(m.bytes, uint32(len(secret)))
	for _, b := range secret { // byte by byte: no copy of more
		m.bytes = append(m.bytes, ^b)
	}
}

func (m *masked) write(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return os.WriteFile(path, m.bytes, 0o600)
}

// secretsIn reads what write wrote.
func secretsIn(t *testing.T, path string) (secrets [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for len(b) > 0 {
		n := int(binary.LittleEndian.Uint32(b))
		secret := b[4 : 4+n]
		for i := range secret {
			secret[i] = ^secret[i]
		}
		secrets, b = append(secrets, secret), b[4+n:]
	}
	return secrets
}

// noting is an Entropy that notes what it gives.
type noting struct {
	*host.Entropy
	given *masked
}

func (n noting) Draw(p []byte) (int, error) {
	credit, err := n.Entropy.Draw(p)
	if err == nil {
		n.given.add(p)
	}
	return credit, err
}

// target notes what it is given.
type target struct{ given *masked }

func (t target) Seed(seed []byte, bits int) (int, error) {
	t.given.add(seed)
	return bits, nil
}

// plain is a Unix socket without shared memory.
type plain struct{ net.Listener }

func plainSocketIn(dir string) string { return filepath.Join(dir, "plain.sock") }

func (l plain) Accept() (transport.Conn, transport.Peer, error) {
	c, err := l.Listener.Accept()
	return c, transport.Peer{ID: "guest", Group: "guest"}, err
}

func secretsListener(carrier, dir string) (transport.Listener, error) {
	if carrier == "socket" {
		l, err := net.Listen("unix", plainSocketIn(dir))
		return plain{l}, err
	}
	l, err := all.Carriers.Listen(socketIn(dir), transport.DefaultListenOptions())
	return l, err
}

// secretsProcess is a host or a guest that does what its standard input says,
// one line each, and answers each line with one.
func secretsProcess(part, dir, name string) error {
	c := secretsCases[name]
	known := &masked{bytes: make([]byte, 0, 1<<20)}
	var do func(order string) error
	switch part {
	case "host":
		var sources []source.Source
		for _, f := range source.Probe() {
			if f.Source != nil {
				sources = append(sources, f.Source)
			}
		}
		entropy, err := gathering(sources, nil)
		if err != nil {
			return err
		}
		cfg := generous()
		cfg.Seed.Bytes, cfg.Seed.Interval, cfg.Times.KeepAlive = c.seedBytes, time.Hour, time.Hour
		cfg.Budget = host.Budget{Bytes: 1 << 14, Period: time.Hour}
		server, err := host.NewServer(noting{entropy, known}, cfg)
		if err != nil {
			return err
		}
		l, err := secretsListener(c.carrier, dir)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- serve(ctx, entropy, server, l) }()
		defer func() { cancel(); <-done }()
		do = func(order string) error {
			switch order {
			case "generation":
				server.NewGeneration()
			}
			return nil
		}
	case "guest":
		dial := dialer(dir)
		if c.carrier == "socket" {
			dial = func(context.Context) (transport.Conn, error) { return net.Dial("unix", plainSocketIn(dir)) }
		}
		o := guest.Options{Kernel: target{known}, Protocol1: c.version1}
		var g *guest.Guest
		var kept []byte
		defer func() {
			if g != nil {
				g.Close()
			}
		}()
		do = func(order string) (err error) {
			word, number, _ := strings.Cut(order, " ")
			n, _ := strconv.Atoi(number)
			switch word {
			case "open":
				g, err = guest.Open(context.Background(), dial, o)
			case "refresh":
				err = g.Refresh(context.Background())
			case "keep": // what the search must find
				kept = make([]byte, n)
				_, err = g.Read(kept)
				known.add(kept)
			case "forget":
				clear(kept)
			case "read":
				p := make([]byte, n)
				_, err = g.Read(p)
				known.add(p)
				clear(p)
			case "seeds": // wait for as many
				for g.Status().Kernel.Seeds < uint64(n) {
					time.Sleep(time.Millisecond)
				}
			}
			return err
		}
	}
	fmt.Println("ready")
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		err := do(orders.Text())
		if orders.Text() == "tell" {
			err = known.write(filepath.Join(dir, part))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", orders.Text(), err)
		}
		fmt.Println("done")
	}
	return nil
}

// actor is such a process as its parent sees it.
type actor struct {
	*testing.T
	cmd     *exec.Cmd
	orders  io.Writer
	answers *bufio.Scanner
}

func act(t *testing.T, part, dir, name string) *actor {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=NONE")
	// What the kernel's frame of a signal and a stack that is moved in the
	// midst of work keep is chance. SECURITY.md lists it.
	cmd.Env = append(os.Environ(), secretsPart+"="+part, secretsDir+"="+dir, secretsCase+"="+name,
		"GODEBUG=asyncpreemptoff=1,gcshrinkstackoff=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	a := &actor{T: t, cmd: cmd, orders: in, answers: bufio.NewScanner(out)}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	a.answer("ready", "start")
	return a
}

func (a *actor) answer(want, order string) {
	a.Helper()
	require.True(a, a.answers.Scan(), "the process ended at %q", order)
	require.Equal(a, want, a.answers.Text())
}

func (a *actor) do(order string) {
	a.Helper()
	_, err := fmt.Fprintln(a.orders, order)
	require.NoError(a, err)
	a.answer("done", order)
}

// needles are all windows of some secrets.
type needles struct {
	begin [1 << 21]byte // a bit for each value of second to fourth byte
	all   map[[window]byte]string
}

func (n *needles) add(what string, secrets [][]byte) {
	if n.all == nil {
		n.all = make(map[[window]byte]string)
	}
	for k, s := range secrets {
		for i := 0; i+window <= len(s); i++ {
			v := binary.LittleEndian.Uint32(s[i:]) >> 8
			n.begin[v/8] |= 1 << (v % 8)
			n.all[[window]byte(s[i:])] = fmt.Sprintf("%s %d from byte %d", what, k, i)
		}
	}
}

// in says where in b needles stand, those side by side as one.
func (n *needles) in(b []byte, at uint64) (found []string) {
	last := -2
	for i := 0; i+window <= len(b); i++ {
		if v := binary.LittleEndian.Uint32(b[i:]) >> 8; n.begin[v/8]&(1<<(v%8)) == 0 {
			continue
		}
		if what, ok := n.all[[window]byte(b[i:])]; ok {
			if i > last+1 {
				found = append(found, fmt.Sprintf("%s at %#x", what, at+uint64(i)))
			}
			last = i
		}
	}
	return found
}

// search reads all memory that a process can write and says where needles
// stand.
func search(t *testing.T, pid int, n *needles) (found []string) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	require.NoError(t, err)
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if errors.Is(err, os.ErrPermission) {
		t.Skip("may not read the memory of a child: set kernel.yama.ptrace_scope to 1 or less, or run it as root")
	}
	require.NoError(t, err)
	defer mem.Close()
	total := 0
	for line := range strings.Lines(string(maps)) {
		var from, to uint64 // the last page of 32 bits ends where an uintptr begins anew
		var mode string
		_, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode)
		require.NoError(t, err)
		if !strings.HasPrefix(mode, "rw") {
			continue
		}
		const piece = 1 << 20
		buf := make([]byte, piece+window-1)
		for at := from; at < to; at += piece {
			b := buf[:min(uint64(len(buf)), to-at)]
			if got, err := mem.ReadAt(b, int64(at)); err != nil && got == 0 {
				continue // unmapped meanwhile, or never readable, as device memory is
			}
			total += len(b)
			for _, f := range n.in(b, at) {
				found = append(found, f+", in "+strings.TrimSpace(line))
			}
		}
	}
	require.NotZero(t, total)
	return found
}

// TestSecretsLeaveNoTrace holds real sessions between two processes, each its
// own, and then searches the memory of both for any 16 bytes of a seed, of what
// a target was fed, and of what was read.
func TestSecretsLeaveNoTrace(t *testing.T) {
	for name, c := range secretsCases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := act(t, "host", dir, name)
			g := act(t, "guest", dir, name)
			g.do("open")
			if !c.version1 {
				for range 3 {
					g.do("refresh")
				}
				h.do("generation")
				g.do("seeds 5")
			}
			for _, n := range []int{7, 16, 33, 1000, 5000, 20001} {
				g.do("read " + strconv.Itoa(n))
			}
			g.do("keep 50")
			h.do("tell")
			g.do("tell")
			var n needles
			seeds := secretsIn(t, filepath.Join(dir, "host"))
			n.add("seed", seeds)
			given := secretsIn(t, filepath.Join(dir, "guest"))
			n.add("what the guest gave", given)
			if !c.version1 {
				require.Len(t, seeds, 5)
				require.Len(t, given, 5+7)
			}
			require.NotEmpty(t, seeds)
			traces := func() (found []string) {
				for who, a := range map[string]*actor{"host": h, "guest": g} {
					for _, f := range search(t, a.cmd.Process.Pid, &n) {
						found = append(found, who+": "+f)
					}
				}
				return found
			}
			require.NotEmpty(t, traces(), "the guest keeps one secret: the search must find it")
			g.do("forget")
			// The last steps of either side may still be under way.
			found := traces()
			for deadline := time.Now().Add(20 * time.Second); len(found) > 0 &&
				time.Now().Before(deadline); found = traces() {
				time.Sleep(50 * time.Millisecond)
			}
			require.Empty(t, found, strings.Join(found, "\n"))
		})
	}
}
