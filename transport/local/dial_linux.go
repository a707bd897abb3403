package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/peercred"
	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

func dial(ctx context.Context, path string) (*vchan.Conn, error) {
	uc, err := unixsock.Connect(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, dialHint(err))
	}
	defer func() { _ = uc.Close() }() // the channel has a duplicate
	stop := context.AfterFunc(ctx, func() { _ = uc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	pid := int32(0)
	if p, err := peercred.Of(uc); err == nil {
		pid = p.PID
	}
	memfd, err := receive(uc)
	if err != nil {
		return nil, err
	}
	mem, err := takePage(memfd)
	_ = unix.Close(memfd)
	if err != nil {
		return nil, err
	}
	fd, err := duplicate(uc)
	if err != nil {
		_ = mem.Close()
		return nil, err
	}
	e, err := newEvents(fd, path, nil)
	if err != nil {
		_ = mem.Close()
		return nil, err
	}
	c, err := vchan.New(vchan.Config{
		Role: ring.Client, Memory: mem, Events: e,
		Admit: func() error { // the host's first event says that it has formatted the page
			if !e.heard.Load() {
				return vchan.ErrNotYet
			}
			return nil
		},
		Local:  vchan.Addr{Net: "local", Name: fmt.Sprintf("%s guest %d", path, os.Getpid())},
		Remote: vchan.Addr{Net: "local", Name: fmt.Sprintf("%s host %d", path, pid)},
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func dialHint(err error) string {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return "; no host listens there: start it, or give its socket's path"
	case errors.Is(err, unix.EACCES):
		return "; the socket file's mode and group say who may connect, and who connects too often is kept out for " +
			"a while"
	case errors.Is(err, unix.EPROTOTYPE):
		return "; that socket is not a local vchan's"
	}
	return ""
}

// receive reads the host's answer and gives the memfd. What follows stays in
// the socket: events.
func receive(uc *net.UnixConn) (memfd int, err error) {
	var head [headSize]byte
	memfd = -1
	defer func() {
		if err != nil && memfd >= 0 {
			_ = unix.Close(memfd)
		}
	}()
	oob := make([]byte, unix.CmsgSpace(4)) // for one descriptor, or two as it is aligned; the kernel drops more
	for n := 0; n < len(head); {
		got, oobn, _, _, err := uc.ReadMsgUnix(head[n:], oob)
		for _, fd := range descriptors(oob[:oobn]) {
			if memfd >= 0 {
				_ = unix.Close(memfd)
			}
			memfd = fd
		}
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return memfd, fmt.Errorf("wait for the host's answer: %w", err)
		case got == 0:
			return memfd, errors.New("the host hung up without an answer")
		}
		n += got
	}
	status, text, err := decodeHead(head[:])
	if err != nil {
		return memfd, err
	}
	if status != statusAccepted {
		why := make([]byte, text)
		n, _ := io.ReadFull(uc, why)
		return memfd, refusal(status, why[:n])
	}
	if memfd < 0 {
		return memfd, messageError("no memory came with it")
	}
	return memfd, nil
}

// descriptors gives those of a control message.
func descriptors(oob []byte) []int {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var all []int
	for i := range list {
		fds, _ := unix.ParseUnixRights(&list[i])
		all = append(all, fds...)
	}
	return all
}

// duplicate takes a descriptor of the socket, which has the same open file
// description.
func duplicate(uc *net.UnixConn) (fd int, err error) {
	raw, err := uc.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("keep the socket: %w", err)
	}
	var ferr error
	err = raw.Control(func(s uintptr) { fd, ferr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 3) })
	if err = errors.Join(err, ferr); err != nil {
		return -1, fmt.Errorf("keep the socket: %w", err)
	}
	return fd, nil
}
