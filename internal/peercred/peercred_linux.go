package peercred

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxGroups bounds what is asked for, our own choice. The kernel allows 65,536
// (NGROUPS_MAX, linux/limits.h), which it takes milliseconds to tell.
const maxGroups = 4096

// Of gives the credentials of the peer of a connected Unix socket, without its
// supplementary groups (SO_PEERCRED; unix(7), socket(7)).
func Of(c syscall.Conn) (Creds, error) { return ask(c, OfFD) }

// OfFD is Of for a descriptor.
func OfFD(fd int) (Creds, error) {
	u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Creds{}, err
	}
	return Creds{PID: u.Pid, UID: u.Uid, GID: u.Gid}, nil
}

// Groups gives the supplementary groups (SO_PEERGROUPS); nil where the kernel
// does not tell, before Linux 4.13, and for who has more than 4,096.
func Groups(c syscall.Conn) ([]uint32, error) { return ask(c, GroupsOfFD) }

func ask[T any](c syscall.Conn, of func(fd int) (T, error)) (found T, err error) {
	raw, err := c.SyscallConn()
	if err == nil {
		var asked error
		err = raw.Control(func(fd uintptr) { found, asked = of(int(fd)) })
		err = errors.Join(err, asked)
	}
	if err != nil {
		return found, fmt.Errorf("ask who the peer is: %w", err)
	}
	return found, nil
}

// GroupsOfFD is Groups for a descriptor. The first try has room for those that
// nearly everybody has.
func GroupsOfFD(fd int) ([]uint32, error) {
	list := make([]uint32, 64)
	for {
		size := uint32(4 * len(list))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&list[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch n := int(size / 4); {
		case errno == 0:
			return list[:n:n], nil
		case errno == unix.ENOPROTOOPT, errno == unix.ENODATA, errno == unix.ERANGE && n > maxGroups:
			return nil, nil
		case errno == unix.ERANGE && n > len(list):
			list = make([]uint32, n)
		default:
			return nil, errno
		}
	}
}
