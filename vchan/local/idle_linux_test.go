package local

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan"
)

func init() {
	children["idle-guests"] = func() error {
		for range envInt("COUNT") {
			c, err := Offer(context.Background(), os.Getenv("SOCKET"), OfferOptions{})
			if err != nil {
				return err
			}
			go func() { _, _ = c.Read(make([]byte, 1)) }()
		}
		select {}
	}
}

// rss is the resident memory of this process, bytes.
func rss(b testing.TB) int {
	s, err := os.ReadFile("/proc/self/statm")
	require.NoError(b, err)
	n, err := strconv.Atoi(strings.Fields(string(s))[1])
	require.NoError(b, err)
	return n * os.Getpagesize()
}

func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIdle: what 2,000 connected guests of another process cost the host,
// each with a goroutine that reads. Run it with -benchtime 1x.
func BenchmarkIdle(b *testing.B) {
	const count, watch = 2000, 3 * time.Second
	var lim unix.Rlimit
	require.NoError(b, unix.Getrlimit(unix.RLIMIT_NOFILE, &lim))
	if lim.Max < 4*count {
		b.Skip("too few file descriptors: run after ulimit -n 8000")
	}
	lim.Cur = lim.Max
	require.NoError(b, unix.Setrlimit(unix.RLIMIT_NOFILE, &lim))
	l := listenAt(b, ListenOptions{})
	runtime.GC()
	before, fds := rss(b), openFDs()
	spawn(b, "idle-guests", []string{"SOCKET=" + l.path, "COUNT=" + strconv.Itoa(count)})
	var wg sync.WaitGroup
	conns := make([]*vchan.Conn, 0, count)
	for range count {
		c, _, err := l.Accept()
		require.NoError(b, err)
		conns = append(conns, c)
		wg.Go(func() { _, _ = c.Read(make([]byte, 1)) })
	}
	runtime.GC()
	for b.Loop() {
		time.Sleep(100 * time.Millisecond)
		start := cpuTime()
		time.Sleep(watch)
		b.ReportMetric(100*float64(cpuTime()-start)/float64(watch), "%cpu")
	}
	b.ReportMetric(float64(rss(b)-before)/count, "B/guest")
	b.ReportMetric(float64(openFDs()-fds)/count, "fds/guest")
	for _, c := range conns {
		_ = c.Close()
	}
	wg.Wait()
}

func openFDs() int {
	n, _ := resources()
	return n
}
