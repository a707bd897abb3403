package e2e

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// start starts a daemon in a process of its own and waits until it listens.
func start(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), daemonDir+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "listening\n", line)
	return cmd
}

// tap shows what the host sends to a decoder of its own and looks at the seeds.
type tap struct {
	transport.Conn
	in *io.PipeWriter
}

func (t tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.in.Write(p[:n])
	return n, err
}

func (t tap) Close() error {
	t.in.Close()
	return t.Conn.Close()
}

// tapped dials the daemon in dir and shows every seed that comes to see.
func tapped(dir string, wg *sync.WaitGroup, see func(seed []byte)) transport.Dialer {
	dial := dialer(dir)
	return func(ctx context.Context) (transport.Conn, error) {
		rw, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		out, in := io.Pipe()
		wg.Go(func() {
			defer out.Close()
			d := protocol.NewGuestDecoder(out)
			for {
				f, err := d.Next()
				if err != nil {
					io.Copy(io.Discard, out)
					return
				}
				if f.Type == protocol.TypeSeed {
					const fixed = 26
					see(f.Payload[fixed : len(f.Payload)-protocol.MACSize])
				}
			}
		})
		return tap{rw, in}, nil
	}
}

// fds counts the process's open file descriptors.
func fds(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

// noGoroutinesLeft waits until no more than the given number of goroutines run,
// and shows them if that does not happen.
func noGoroutinesLeft(t *testing.T, limit int) {
	t.Helper()
	for range 500 {
		if runtime.NumGoroutine() <= limit {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Fatalf("%d goroutines, there were %d:\n%s", runtime.NumGoroutine(), limit, stacks[:runtime.Stack(stacks, true)])
}

// heap is the live heap in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestDaemonKilled kills the daemon at random moments while guests read and
// ask. No guest stops giving bytes, no seed and no byte comes twice, and
// nothing is left behind. The long form kills 1,000 times.
func TestDaemonKilled(t *testing.T) {
	kills := 200
	if testing.Short() {
		kills = 20
	}
	if os.Getenv("XENTROPYD_SOAK") != "" {
		kills = 1000
	}
	const guests = 4
	dir := t.TempDir()
	before, goroutines := fds(t), runtime.NumGoroutine()
	cmd := start(t, dir)

	var seeds, read windows
	var seedsSeen atomic.Int64
	var taps, readers sync.WaitGroup
	var stop atomic.Bool
	all := make([]*guest.Guest, guests)
	for i := range all {
		g, err := guest.Open(t.Context(), tapped(dir, &taps, func(seed []byte) {
			seedsSeen.Add(1)
			if seeds.add(seed) {
				t.Error("16 bytes of a seed came twice")
			}
		}), guest.Options{MaxPause: 20 * time.Millisecond})
		require.NoError(t, err)
		require.NotZero(t, g.Status().Host.Seeds)
		all[i] = g
		readers.Go(func() {
			p := make([]byte, 32)
			for !stop.Load() {
				if _, err := io.ReadFull(g, p); err != nil {
					t.Error("a guest stopped giving bytes:", err)
					return
				}
				if read.add(p) {
					t.Error("a byte was given twice")
				}
				time.Sleep(500 * time.Microsecond)
			}
		})
		readers.Go(func() {
			for !stop.Load() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				g.Refresh(ctx) // fails whenever the daemon is down
				cancel()
				time.Sleep(time.Millisecond)
			}
		})
	}
	reconnects := func() (n uint64) {
		for _, g := range all {
			n += g.Status().Host.Reconnects
		}
		return n
	}
	came := uint64(0) // before the last kill
	for i := range kills {
		if i%2 == 1 { // every second daemon may die before anybody has come
			require.Eventually(t, func() bool { return reconnects() > came }, 30*time.Second,
				time.Millisecond, "nobody came back")
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		came = reconnects()
		require.NoError(t, cmd.Process.Kill())
		cmd.Wait()
		cmd = start(t, dir)
	}
	// After the last start every guest comes back.
	for _, g := range all {
		seedsBefore := g.Status().Host.Seeds
		require.Eventually(t, func() bool { return g.Status().Host.Connected && g.Status().Host.Seeds > seedsBefore },
			30*time.Second, 5*time.Millisecond)
	}
	stop.Store(true)
	readers.Wait()
	came = reconnects()
	for _, g := range all {
		require.NoError(t, g.Close())
	}
	taps.Wait()
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	t.Logf("%d kills, %d reconnects, %d seeds, %d windows of bytes read", kills, came, seedsSeen.Load(), len(read.seen))
	require.GreaterOrEqual(t, came, uint64(kills/2))

	noGoroutinesLeft(t, goroutines)
	require.LessOrEqual(t, fds(t), before+2, "file descriptors are left")
}
