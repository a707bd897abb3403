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

	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// network is SOCK_SEQPACKET: messages stay whole.
const network = "unixpacket"

func offer(ctx context.Context, path string, opts OfferOptions) (*vchan.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, path)
	if err != nil {
		return nil, fmt.Errorf("offer a vchan to %s: %w%s", path, err, dialHint(err))
	}
	uc := nc.(*net.UnixConn)
	defer func() { _ = uc.Close() }() // the tether is a duplicate
	c, err := offerOver(ctx, uc, path, opts)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("offer a vchan to %s: %w", path, err)
	}
	return c, nil
}

func dialHint(err error) string {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return "; no host listens there: start it, or give its socket's path"
	case errors.Is(err, unix.EACCES):
		return "; the socket file's mode and group say who may connect"
	case errors.Is(err, unix.EPROTOTYPE):
		return "; that socket is not a local vchan's"
	}
	return ""
}

func offerOver(ctx context.Context, uc *net.UnixConn, path string, opts OfferOptions) (*vchan.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = uc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	pid := int32(0)
	if p, err := peerOf(uc); err == nil {
		pid = p.PID
	}
	mem, memfd, err := makeMemory(opts.Orders)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(memfd) }()
	l, toHost, toGuest, err := openGuestEnds(uc)
	if err != nil {
		_ = mem.Close()
		return nil, err
	}
	e, err := newEvents(toGuest, toHost, l)
	if err != nil {
		_ = mem.Close()
		return nil, err
	}
	c, err := vchan.New(vchan.Config{
		Role: ring.Server, Orders: opts.Orders, Grants: pageNumbers(opts.Orders), Memory: mem, Events: e, Silent: true,
		Local:  vchan.Addr{Net: "local", Name: fmt.Sprintf("%s guest %d", path, os.Getpid())},
		Remote: vchan.Addr{Net: "local", Name: fmt.Sprintf("%s host %d", path, pid)},
	})
	if err != nil {
		return nil, err
	}
	l.conn = c
	err = bargain(uc, memfd, toHost, toGuest)
	if err == nil {
		err = watchAsGuest(l)
	}
	if err == nil {
		err = c.Wait(ctx)
	}
	if err != nil {
		l.abandon()
		return nil, err
	}
	return c, nil
}

// openGuestEnds makes the two eventfds and the tether.
func openGuestEnds(uc *net.UnixConn) (l *link, toHost, toGuest int, err error) {
	toHost, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, -1, -1, fmt.Errorf("make an eventfd: %w", err)
	}
	toGuest, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(toHost)
		return nil, -1, -1, fmt.Errorf("make an eventfd: %w", err)
	}
	fd, err := tether(uc)
	if err != nil {
		_ = unix.Close(toHost)
		_ = unix.Close(toGuest)
		return nil, -1, -1, err
	}
	return &link{fd: fd}, toHost, toGuest, nil
}

// tether duplicates the socket out of the runtime's poller.
func tether(uc *net.UnixConn) (int, error) {
	raw, err := uc.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("keep the socket: %w", err)
	}
	var fd int
	var ferr error
	err = raw.Control(func(s uintptr) { fd, ferr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 3) })
	if err = errors.Join(err, ferr); err != nil {
		return -1, fmt.Errorf("keep the socket: %w", err)
	}
	return fd, nil
}

// bargain sends the offer and reads the verdict.
func bargain(uc *net.UnixConn, memfd, toHost, toGuest int) error {
	// The eventfds are in no danger of being closed: the Conn is still ours alone.
	if _, _, err := uc.WriteMsgUnix(encodeOffer(), unix.UnixRights(memfd, toHost, toGuest), nil); err != nil {
		return fmt.Errorf("send the offer: %w", err)
	}
	var b [headSize + textLimit + 1]byte
	n, err := uc.Read(b[:])
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("wait for the host's answer: %w", err)
	}
	if n == 0 {
		return errors.New("the host hung up without an answer")
	}
	return decodeAnswer(b[:n])
}

func watchAsGuest(l *link) error {
	w, err := holdGuestWatcher()
	if err != nil {
		return err
	}
	defer w.release() // the link has a share of its own
	return w.add(l)
}

// peerOf asks the kernel who connected, or who listens.
func peerOf(uc *net.UnixConn) (Peer, error) {
	raw, err := uc.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Ucred
	var cerr error
	err = raw.Control(func(s uintptr) { cred, cerr = unix.GetsockoptUcred(int(s), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, cerr); err != nil {
		return Peer{}, fmt.Errorf("ask who the peer is: %w", err)
	}
	return Peer{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid}, nil
}
