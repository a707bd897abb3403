package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/local"
)

const bulk = 64 << 10

// roles are what a peer process can be. Its ends of sockets and eventfds are
// the file descriptors from 3 on.
var roles = map[string]func() error{
	"ring sink":   func() error { return sink(sharedPeer()) },
	"ring echo":   func() error { return echo(local.Dial(context.Background(), os.Getenv(socketEnv))) },
	"socket sink": func() error { return sink(net.FileConn(os.NewFile(3, "socket"))) },
	"socket echo": func() error { return echo(net.FileConn(os.NewFile(3, "socket"))) },
	"eventfd":     func() error { return pong(3, 4) },
	"poller":      func() error { return echoEvents(os.NewFile(3, "in"), os.NewFile(4, "out")) },
}

func peer(role string) error {
	f := roles[role]
	if f == nil {
		return errors.New("unknown role " + role)
	}
	return f()
}

const (
	socketEnv = "XENTROPYD_BENCH_SOCKET"
	orderEnv  = "XENTROPYD_BENCH_ORDER"
)

func sink[T io.ReadWriter](c T, err error) error {
	if err != nil {
		return err
	}
	buf := make([]byte, bulk)
	for {
		if _, err := c.Read(buf); err != nil {
			return nil
		}
	}
}

func echo[T io.ReadWriter](c T, err error) error {
	if err != nil {
		return err
	}
	buf := make([]byte, 1)
	for {
		if _, err := c.Read(buf); err != nil {
			return nil
		}
		if _, err := c.Write(buf); err != nil {
			return nil
		}
	}
}

var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// pong answers events by plain blocking system calls, the fastest that two
// processes can do.
func pong(in, out int) error {
	buf := make([]byte, 8)
	for {
		if _, err := unix.Read(in, buf); err != nil {
			return err
		}
		if _, err := unix.Write(out, one); err != nil {
			return err
		}
	}
}

func echoEvents(in, out *os.File) error {
	buf := make([]byte, 8)
	for {
		if _, err := in.Read(buf); err != nil {
			return err
		}
		if _, err := out.Write(one); err != nil {
			return err
		}
	}
}

// ringTo returns the host's end of a local channel to a peer process.
func ringTo(s *setup, role string) (io.ReadWriter, error) {
	dir, err := os.MkdirTemp("", "xentropyd-bench-")
	if err != nil {
		return nil, err
	}
	s.defer_(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	l, err := local.Listen(path, transport.DefaultListenOptions())
	if err != nil {
		return nil, err
	}
	s.defer_(func() { l.Close() })
	if err := s.spawn(role, []string{socketEnv + "=" + path}); err != nil {
		return nil, err
	}
	c, _, err := l.Accept()
	if err != nil {
		return nil, err
	}
	s.defer_(func() { c.Close() })
	return c, nil
}

func socketTo(s *setup, role string) (io.ReadWriter, error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	near, far := os.NewFile(uintptr(p[0]), "near"), os.NewFile(uintptr(p[1]), "far")
	defer near.Close()
	defer far.Close()
	if err := s.spawn(role, nil, far); err != nil {
		return nil, err
	}
	c, err := net.FileConn(near)
	if err == nil {
		s.defer_(func() { c.Close() })
	}
	return c, err
}

// eventsTo returns a pair of eventfds to a peer process.
func eventsTo(s *setup, role string, flags int) (in, out int, err error) {
	in, err = unix.Eventfd(0, unix.EFD_CLOEXEC|flags)
	if err != nil {
		return 0, 0, err
	}
	out, err = unix.Eventfd(0, unix.EFD_CLOEXEC|flags)
	if err != nil {
		return 0, 0, err
	}
	var far [2]*os.File
	for i, fd := range []int{out, in} {
		d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return 0, 0, err
		}
		far[i] = os.NewFile(uintptr(d), "eventfd")
		defer far[i].Close()
	}
	if err := s.spawn(role, nil, far[0], far[1]); err != nil {
		return 0, 0, err
	}
	for _, fd := range []int{in, out} { // handing a file to a child may have changed its flags
		if err := unix.SetNonblock(fd, flags&unix.EFD_NONBLOCK != 0); err != nil {
			return 0, 0, err
		}
	}
	return in, out, nil
}

// channels compares the local ring with what else two processes have.
func channels(s *setup) ([]comparison, error) {
	if !s.match.MatchString("ring 64 KiB writes") && !s.match.MatchString("ring one-byte round trip") {
		return nil, nil
	}
	p := make([]byte, bulk)
	write := func(name string, c io.Writer) contender {
		return mb(name, len(p), func() { _, err := c.Write(p); s.fail(err) })
	}
	sock, err := socketTo(s, "socket sink")
	if err != nil {
		return nil, err
	}
	bulkField := []contender{write("Unix socket pair", sock)}
	for _, order := range []uint16{20, 19, 18, 16} {
		c, err := sharedTo(s, order)
		if err != nil {
			return nil, err
		}
		bulkField = append(bulkField, write("ring of order "+strconv.Itoa(int(order)), c))
	}

	in, out, err := eventsTo(s, "eventfd", 0)
	if err != nil {
		return nil, err
	}
	pin, pout, err := eventsTo(s, "poller", unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	fin, fout := os.NewFile(uintptr(pin), "in"), os.NewFile(uintptr(pout), "out")
	sockEcho, err := socketTo(s, "socket echo")
	if err != nil {
		return nil, err
	}
	ringEcho, err := ringTo(s, "ring echo")
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 8)
	trip := func(name string, w io.Writer, word []byte, r io.Reader) contender {
		return ns(name, func() {
			_, err := w.Write(word)
			_, rerr := r.Read(buf[:len(word)])
			s.fail(errors.Join(err, rerr))
		})
	}
	raw := ns("eventfd, blocking system calls", func() {
		_, err := unix.Write(out, one)
		_, rerr := unix.Read(in, buf)
		s.fail(errors.Join(err, rerr))
	})
	return []comparison{
		{name: "ring 64 KiB writes", unit: "MB/s", field: bulkField, target: atLeast(2)},
		{name: "ring one-byte round trip", unit: "ns", field: []contender{
			raw, trip("ring, in one page", ringEcho, one[:1], ringEcho), trip("eventfd, Go's poller", fout, one, fin),
			trip("Unix socket pair", sockEcho, one[:1], sockEcho),
		}, target: atMost(1.2)},
	}, nil
}
