package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// daemon is a real xentropyd in a directory of its own.
type daemon struct {
	dir, address string
	bin          string // directory of the built commands
	cmd          *exec.Cmd
}

// build builds the commands and a program that does nothing.
func build(s *setup) (bin string, err error) {
	bin, err = os.MkdirTemp("", "xentropyd-bench-")
	if err != nil {
		return "", err
	}
	s.defer_(func() { os.RemoveAll(bin) })
	trivial := filepath.Join(bin, "trivial.go")
	if err := os.WriteFile(trivial,
		[]byte("package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"trivial\\n\") }\n"),
		0o600); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"build", "-o", bin, "github.com/xentropyd/xentropyd/cmd/..."},
		{"build", "-o", filepath.Join(bin, "trivial"), trivial},
	} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return bin, nil
}

// startDaemon starts xentropyd with limits that let one user bring thousands of
// guests, and budgets as they are by default.
func startDaemon(s *setup, bin string) (*daemon, error) {
	dir, err := os.MkdirTemp("", "xentropyd-bench-")
	if err != nil {
		return nil, err
	}
	s.defer_(func() { os.RemoveAll(dir) })
	d := &daemon{dir: dir, bin: bin, address: "local:" + filepath.Join(dir, "local.sock")}
	config := fmt.Sprintf(`listen = [%q]
control = %q
seed_file = %q
log_level = "error"
[budget]
bytes = 1048576
period = "1s"
[limits]
sessions = 8192
sessions_per_group = 8192
sessions_per_guest = 8192
new_sessions_per_second = 100000.0
`, d.address, filepath.Join(dir, "control.sock"), filepath.Join(dir, "seed"))
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	d.cmd = exec.Command(filepath.Join(bin, "xentropyd"), "run", "--config", file)
	d.cmd.Stderr = os.Stderr
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	s.defer_(func() { d.cmd.Process.Signal(os.Interrupt); d.cmd.Wait() })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	g, err := guest.Open(ctx, d.dial, guest.Options{Sources: []source.Source{}})
	if err != nil {
		return nil, fmt.Errorf("daemon does not answer: %w", err)
	}
	return d, g.Close()
}

func (d *daemon) dial(ctx context.Context) (transport.Conn, error) {
	return all.Carriers.Dial(ctx, d.address)
}

// open opens n guests at once and returns them with the time that each took to
// be seeded.
func (d *daemon) open(n int) (guests []*guest.Guest, took []time.Duration, err error) {
	guests, took = make([]*guest.Guest, n), make([]time.Duration, n)
	errs := make([]error, n)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			start := time.Now()
			guests[i], errs[i] = guest.Open(ctx, d.dial, guest.Options{Sources: []source.Source{}})
			took[i] = time.Since(start)
		})
	}
	wg.Wait()
	return guests, took, errors.Join(errs...)
}

func closeAll(guests []*guest.Guest) {
	var wg sync.WaitGroup
	for _, g := range guests {
		if g != nil {
			wg.Go(func() { g.Close() })
		}
	}
	wg.Wait()
}

// status returns one field of /proc/PID/status in KiB.
func (d *daemon) status(field string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%d/status", field, d.cmd.Process.Pid)
}

// cpu is the CPU time that the daemon has used, all of its threads together.
func (d *daemon) cpu() (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", d.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("no schedstat of process %d: the kernel must have CONFIG_SCHED_INFO", d.cmd.Process.Pid)
	}
	var sum int64
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += ns
	}
	return time.Duration(sum), nil
}

const (
	many      = 2000
	rush      = 500
	idleWatch = 30 * time.Second
)

// daemons measures a real daemon: how fast a guest is served, and what two
// thousand cost.
func daemons(s *setup) ([]comparison, error) {
	names := []string{
		"exec to bytes", "rush of 500 guests, p99", "memory of each of 2,000 guests",
		"CPU of 2,000 idle guests",
	}
	if !slices.ContainsFunc(names, s.match.MatchString) {
		return nil, nil
	}
	bin, err := build(s)
	if err != nil {
		return nil, err
	}
	d, err := startDaemon(s, bin)
	if err != nil {
		return nil, err
	}
	execTime := func(name string, args ...string) float64 {
		start := time.Now()
		out, err := exec.Command(filepath.Join(bin, name), args...).Output()
		if err == nil && len(out) == 0 {
			err = fmt.Errorf("%s printed nothing", name)
		}
		s.fail(err)
		return float64(time.Since(start).Microseconds()) / 1e3
	}
	var memory, idle float64
	measured := false
	crowd := func() {
		if measured {
			return
		}
		measured = true
		memory, idle, err = d.crowd()
		s.fail(err)
	}
	return []comparison{
		{name: names[0], unit: "ms", rounds: min(s.rounds, 41), field: []contender{
			{"trivial Go program", func() float64 { return execTime("trivial") }},
			{"entropy-guest read -n 32", func() float64 {
				return execTime("entropy-guest", "read", "-n", "32",
					"--hex", "--host", d.address)
			}},
		}, target: target{
			kind: '<', also: func(base float64) float64 { return 1.5*base + 5 },
			words: "at most 1.5 × + 5 ms",
		}},
		{name: names[1], unit: "ms", rounds: 5, field: []contender{{"seeded, at the 99th percentile", func() float64 {
			guests, took, err := d.open(rush)
			s.fail(err)
			closeAll(guests)
			slices.Sort(took)
			return float64(took[rush*99/100].Microseconds()) / 1e3
		}}}},
		{name: names[2], unit: "KiB", rounds: 1, field: []contender{{
			"resident, shared page included",
			func() float64 { crowd(); return memory },
		}}, target: atMost(24)},
		{
			name: names[3], unit: "% of a core", rounds: 1,
			field: []contender{{"over 30 s", func() float64 { crowd(); return idle }}}, target: atMost(1),
		},
	}, nil
}

// crowd connects 2,000 guests and returns what each adds to the daemon's
// memory, in KiB, and the CPU that it takes with all of them idle, in percent
// of one core.
func (d *daemon) crowd() (memory, idle float64, err error) {
	before, err := d.status("VmRSS")
	if err != nil {
		return 0, 0, err
	}
	guests, _, err := d.open(many)
	defer closeAll(guests)
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(5 * time.Second)
	after, err := d.status("VmRSS")
	if err != nil {
		return 0, 0, err
	}
	cpuBefore, err := d.cpu()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	time.Sleep(idleWatch)
	cpuAfter, err := d.cpu()
	if err != nil {
		return 0, 0, err
	}
	return (after - before) / many, 100 * float64(cpuAfter-cpuBefore) / float64(time.Since(start)), nil
}
