package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/local"
)

// dribbleEnv makes this test binary a guest that sends byte by byte, at the
// socket and with the pause that it names.
const dribbleEnv = "XENTROPYD_DRIBBLE"

func TestMain(m *testing.M) {
	if at := os.Getenv(dribbleEnv); at != "" {
		if err := dribbleTo(at); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	os.Exit(m.Run())
}

func dribbleTo(at string) error {
	var pause time.Duration // in ns
	var path string
	if _, err := fmt.Sscan(at, &pause, &path); err != nil {
		return err
	}
	c, err := local.Dial(context.Background(), path)
	if err != nil {
		return err
	}
	g := protocol.NewGuest(protocol.Hello{})
	if _, err := c.Write(g.AppendHello(nil)); err != nil {
		return err
	}
	go func() {
		for p := make([]byte, 4096); ; {
			if _, err := c.Read(p); err != nil {
				return
			}
		}
	}()
	frame := g.Append(nil, protocol.Pong{})
	for i := 0; ; i++ {
		if _, err := c.Write(frame[i%len(frame):][:1]); err != nil {
			return err
		}
		for begin := time.Now(); time.Since(begin) < pause; {
		}
	}
}

// BenchmarkByteByByte compares what the meter of a session says with what the
// process uses, for a guest that sends byte by byte, with an event each, and is
// not held up.
func BenchmarkByteByByte(b *testing.B) {
	for _, pause := range []time.Duration{5 * time.Microsecond, 30 * time.Microsecond, 300 * time.Microsecond} {
		b.Run(pause.String(), func(b *testing.B) {
			s, l := serveReal(b, with(func(c *Config) {
				c.Limits.FramesPerSecond = maxRate
				c.Limits.CPUShare = 1024
			}))
			path := filepath.Join(b.TempDir(), "socket")
			at, err := local.Listen(path, transport.DefaultListenOptions())
			require.NoError(b, err)
			peer := exec.Command(os.Args[0])
			peer.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", dribbleEnv, pause, path))
			peer.Stderr = os.Stderr
			require.NoError(b, peer.Start())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = peer.Wait()
				_ = at.Close() // so that nobody waits for it
			}()
			defer func() { _ = peer.Process.Kill(); <-ended }()
			c, _, err := at.Accept()
			require.NoError(b, err)
			l.guests <- arrival{c, transport.Peer{ID: "guest", Group: "guest"}}
			for len(s.Status().Guests) == 0 || s.Status().Guests[0].Frames < 10 {
				time.Sleep(time.Millisecond)
			}
			metered, used := s.Status().Guests[0].CPU, processTime(b)
			begin := time.Now()
			b.ResetTimer()
			for range b.N {
				time.Sleep(time.Second)
			}
			elapsed := time.Since(begin).Seconds()
			b.ReportMetric(1000*(s.Status().Guests[0].CPU-metered)/elapsed, "metered-ms/s")
			b.ReportMetric(1000*(processTime(b)-used)/elapsed, "process-ms/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// processTime is user and system time in seconds.
func processTime(t testing.TB) float64 {
	var r syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}
