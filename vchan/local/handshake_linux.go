package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// errSilent is a guest that hung up before it said anything: a probe, such as
// our own look for a live socket. There is nobody to answer.
var errSilent = errors.New("it hung up without a word")

// receive takes one message and its descriptors, which are the caller's to
// close even with an error.
func receive(uc *net.UnixConn) ([]int, error) {
	var b [headSize + 1]byte
	// The kernel rounds up: this has room for four, so a fifth is MSG_CTRUNC.
	oob := make([]byte, unix.CmsgSpace(4*offerFDs))
	n, oobn, flags, _, err := uc.ReadMsgUnix(b[:], oob)
	fds, perr := rights(oob[:oobn])
	switch {
	case err != nil:
		return fds, fmt.Errorf("wait for the offer: %w", err)
	case n == 0 && len(fds) == 0:
		return nil, errSilent
	case flags&unix.MSG_CTRUNC != 0:
		return fds, messageError("more descriptors than %d, or this process has too many open", offerFDs)
	case flags&unix.MSG_TRUNC != 0:
		return fds, messageError("an offer longer than %d bytes", headSize)
	case perr != nil:
		return fds, perr
	}
	if err := checkOffer(b[:n]); err != nil {
		return fds, err
	}
	if len(fds) != offerFDs {
		return fds, messageError("%d descriptors came, must be %d", len(fds), offerFDs)
	}
	return fds, nil
}

// rights gives the descriptors in a control message, all that can be found
// even if what follows is malformed.
func rights(oob []byte) (fds []int, err error) {
	for len(oob) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return fds, messageError("control message: %v", err)
		}
		oob = rest
		if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_RIGHTS {
			continue
		}
		for ; len(data) >= 4; data = data[4:] {
			fds = append(fds, int(int32(binary.NativeEndian.Uint32(data))))
		}
	}
	return fds, nil
}

// closeFD is a variable for tests only.
var closeFD = unix.Close

// closeAll may be held up by whoever made the descriptors: see held.
func closeAll(fds []int) {
	for _, fd := range fds {
		_ = closeFD(fd)
	}
}

// accept checks what came, maps it and joins. It takes over the tether, and of
// fds the two eventfds; the memfd is closed in any case.
//
// It sends no event: that write could get stuck (see events), in a handshake
// that holds a place and before the watcher knows the link. The answer on the
// socket says what the event would.
func accept(fds []int, tether int, maxOrder uint16, local, remote net.Addr) (*link, error) {
	memfd, toHost, toGuest := fds[0], fds[1], fds[2]
	mem, orders, err := admitMemory(memfd, maxOrder)
	closeAll(fds[:1])
	if err == nil {
		if err = admitEvents(toHost, toGuest); err != nil {
			_ = mem.Close()
		}
	}
	if err != nil {
		closeAll([]int{toHost, toGuest, tether})
		return nil, err
	}
	l := &link{fd: tether}
	e, err := newEvents(toHost, toGuest, l)
	if err != nil {
		_ = mem.Close()
		return nil, err
	}
	l.conn, err = vchan.New(vchan.Config{
		Role: ring.Client, Orders: orders, Memory: mem, Events: e, Silent: true, Local: local, Remote: remote,
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// admitMemory maps the memfd if it is what it must be.
func admitMemory(fd int, maxOrder uint16) (*memory, ring.Orders, error) {
	// Only a file of memfd_create with MFD_ALLOW_SEALING can have these.
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, ring.Orders{}, fmt.Errorf("the first descriptor is not a memfd (F_GET_SEALS: %w)", err)
	}
	const must = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	if seals&must != must {
		return nil, ring.Orders{}, errors.New("the memfd is not sealed against shrinking and growing")
	}
	if seals&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
		return nil, ring.Orders{}, errors.New("the memfd is sealed against writing")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, ring.Orders{}, fmt.Errorf("ask for the memfd's size: %w", err)
	}
	most := ring.PageSize + 2<<maxOrder
	if st.Size < ring.PageSize || st.Size > int64(most) {
		return nil, ring.Orders{}, fmt.Errorf("the memfd has %d bytes, this host takes %d to %d", st.Size, ring.PageSize, most)
	}
	m, err := mapMemory(fd, int(st.Size))
	if err != nil {
		return nil, ring.Orders{}, err
	}
	o, err := admitPage(m, maxOrder)
	if err != nil {
		_ = m.Close()
		return nil, ring.Orders{}, err
	}
	m.setOrders(o)
	return m, o, nil
}

// admitPage reads the orders, once, and holds everything else against them.
func admitPage(m *memory, maxOrder uint16) (ring.Orders, error) {
	o, err := ring.ReadOrders(m.Page())
	if err != nil {
		return o, err
	}
	if max(o.Left, o.Right) > maxOrder {
		return o, fmt.Errorf("ring orders %d and %d, this host takes up to %d", o.Left, o.Right, maxOrder)
	}
	if want := memorySize(o); len(m.all) != want {
		return o, fmt.Errorf("the memfd has %d bytes, orders %d and %d need %d", len(m.all), o.Left, o.Right, want)
	}
	left, right, err := ring.ReadGrants(m.Page(), o)
	if err != nil {
		return o, err
	}
	if !slices.Equal(append(left, right...), pageNumbers(o)) {
		return o, errors.New("the page's grant list is not 1, 2, 3 and so on")
	}
	return o, nil
}

// admitEvents wants two different, plain, non-blocking eventfds.
func admitEvents(a, b int) error {
	ida, err := eventID(a)
	if err != nil {
		return fmt.Errorf("the second descriptor %w", err)
	}
	idb, err := eventID(b)
	if err != nil {
		return fmt.Errorf("the third descriptor %w", err)
	}
	if ida == idb && ida != "" {
		return errors.New("both eventfds are the same one")
	}
	return nil
}

// eventID gives what the kernel calls the eventfd in fdinfo, "" where it is
// too old (before 5.2) to say.
func eventID(fd int) (string, error) {
	name := strconv.Itoa(fd)
	kind, err := os.Readlink("/proc/self/fd/" + name)
	if err != nil {
		return "", fmt.Errorf("cannot be looked at, the host needs /proc: %w", err)
	}
	if kind != "anon_inode:[eventfd]" {
		return "", errors.New("is not an eventfd")
	}
	if err := checkNonblock(fd); err != nil {
		return "", errors.New("is a blocking eventfd, make it with EFD_NONBLOCK")
	}
	info, err := os.ReadFile("/proc/self/fdinfo/" + name)
	if err != nil {
		return "", fmt.Errorf("cannot be looked at: %w", err)
	}
	if field(info, "eventfd-semaphore") == "1" {
		return "", errors.New("is an eventfd made with EFD_SEMAPHORE")
	}
	return field(info, "eventfd-id"), nil
}

// field finds a "name: value" line.
func field(info []byte, name string) string {
	for line := range bytes.Lines(info) {
		if k, v, ok := bytes.Cut(line, []byte(":")); ok && string(k) == name {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}
