package local

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The benchmarks have their peer in a second process: this test binary again,
// told by an environment variable what to be.
const childEnv = "VCHAN_LOCAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		os.Exit(child(role))
	}
	os.Exit(m.Run())
}

// children are the roles; each gets its file descriptors from 3 on.
var children = map[string]func() error{
	"echo":        func() error { return echo(dialChild()) },
	"socket-echo": func() error { return echo(socketChild()) },
	"eventfd-raw": func() error { return pingRaw(3, 4) },
	"eventfd-go":  func() error { return pingPoller(os.NewFile(3, "in"), os.NewFile(4, "out")) },
}

func child(role string) int {
	f := children[role]
	if f == nil || f() != nil {
		return 1
	}
	return 0
}

func dialChild() (io.ReadWriteCloser, error) { return Dial(context.Background(), os.Getenv("SOCKET")) }

func envInt(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	return n
}

func socketChild() (io.ReadWriteCloser, error) { return net.FileConn(os.NewFile(3, "socket")) }

func echo(c io.ReadWriteCloser, err error) error {
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	for {
		if _, err := c.Read(b); err != nil {
			return nil
		}
		if _, err := c.Write(b); err != nil {
			return nil
		}
	}
}

// spawn starts a child; it is killed when the test ends.
func spawn(t testing.TB, role string, env []string, files ...*os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+role), env...)
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func benchChannel(b *testing.B, role string) io.ReadWriter {
	l, err := listenFilled(filepath.Join(b.TempDir(), "s"), options{})
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	spawn(b, role, []string{"SOCKET=" + l.path})
	c, _, err := accept(l)
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	return c
}

func benchSocket(b *testing.B, role string) io.ReadWriter {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(b, err)
	far := os.NewFile(uintptr(p[1]), "far")
	near := os.NewFile(uintptr(p[0]), "near")
	spawn(b, role, nil, far)
	_ = far.Close()
	c, err := net.FileConn(near)
	require.NoError(b, err)
	_ = near.Close()
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// contender is one way to do the same thing.
type contender struct {
	name string
	op   func() error
}

// race lets the contenders take short turns, so that what else the machine
// does hits all alike, and reports each one's median in ns per operation, and
// as a ratio to the first one's.
func race(b *testing.B, field ...contender) {
	const slice = 20 * time.Millisecond
	took := make([][]float64, len(field))
	for b.Loop() {
		for i, c := range field {
			n, start := 0, time.Now()
			for time.Since(start) < slice {
				for range 8 {
					if err := c.op(); err != nil {
						b.Fatal(c.name, err)
					}
				}
				n += 8
			}
			took[i] = append(took[i], float64(time.Since(start))/float64(n))
		}
	}
	b.ReportMetric(0, "ns/op")
	var first float64
	for i, c := range field {
		slices.Sort(took[i])
		m := took[i][len(took[i])/2]
		if i == 0 {
			first = m
		}
		b.ReportMetric(m, c.name+"-ns")
		b.ReportMetric(m/first, c.name+"-x")
	}
}

// BenchmarkRoundTrip: one byte to another process and back. Run it with
// -benchtime 50x.
func BenchmarkRoundTrip(b *testing.B) {
	p := make([]byte, 8)
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	trip := func(w io.Writer, wb []byte, r io.Reader, rb []byte) func() error {
		return func() error {
			if _, err := w.Write(wb); err != nil {
				return err
			}
			_, err := r.Read(rb)
			return err
		}
	}
	in, out := eventPair(b, "eventfd-raw", 0)
	gin, gout := eventPair(b, "eventfd-go", unix.EFD_NONBLOCK)
	fi, fo := os.NewFile(uintptr(gin), "in"), os.NewFile(uintptr(gout), "out")
	s := benchSocket(b, "socket-echo")
	c := benchChannel(b, "echo")
	race(b,
		contender{"eventfd", func() error { return addAndRead(out, in, p) }},
		contender{"eventfd-poller", trip(fo, one, fi, p)},
		contender{"socket", trip(s, p[:1], s, p[:1])},
		contender{"ring", trip(c, p[:1], c, p[:1])},
	)
}

func eventPair(b *testing.B, role string, flags int) (in, out int) {
	in, err := unix.Eventfd(0, unix.EFD_CLOEXEC|flags)
	require.NoError(b, err)
	out, err = unix.Eventfd(0, unix.EFD_CLOEXEC|flags)
	require.NoError(b, err)
	dup := func(fd int) *os.File {
		d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		require.NoError(b, err)
		return os.NewFile(uintptr(d), "eventfd")
	}
	f, g := dup(out), dup(in)
	fl, _ := unix.FcntlInt(uintptr(in), unix.F_GETFL, 0)
	spawn(b, role, nil, f, g)
	_ = f.Close()
	_ = g.Close()
	_, _ = unix.FcntlInt(uintptr(in), unix.F_SETFL, fl) // exec's Fd() may have made it blocking
	_, _ = unix.FcntlInt(uintptr(out), unix.F_SETFL, fl)
	return in, out
}

func pingRaw(in, out int) error {
	b := make([]byte, 8)
	for {
		if _, err := unix.Read(in, b); err != nil {
			return err
		}
		if _, err := unix.Write(out, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			return err
		}
	}
}

func addAndRead(out, in int, p []byte) error {
	_, err := unix.Write(out, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	_, rerr := unix.Read(in, p)
	return errors.Join(err, rerr)
}

func pingPoller(in, out *os.File) error {
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	b := make([]byte, 8)
	for {
		if _, err := in.Read(b); err != nil {
			return err
		}
		if _, err := out.Write(one); err != nil {
			return err
		}
	}
}
