package main

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// What a hypercall through the kernel needs (xen/include/public/xen.h, domctl.h of Xen 4.17; linux/include/uapi/xen/privcmd.h).
const (
	hypercallDevice = "/dev/xen/hypercall" // gives memory that Xen may be shown
	privcmdDevice   = "/dev/xen/privcmd"

	privcmdHypercall = 0x305000 // _IOC(_IOC_NONE, 'P', 0, 48)
	hypercallDomctl  = 36       // __HYPERVISOR_domctl
	domctlVersion    = 0x15     // XEN_DOMCTL_INTERFACE_VERSION
	domctlUnpause    = 4        // XEN_DOMCTL_unpausedomain
)

// unpauseCommand is xl unpause that says when: xl itself takes longer to start than what is measured.
func unpauseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unpause DOMID", Args: cobra.ExactArgs(1),
		Short: "Let a paused domain run, and print the wall clock just before, in nanoseconds",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 15)
			if err != nil {
				return err
			}
			when, err := unpause(uint16(id))
			if err != nil {
				return fmt.Errorf("let domain %d run: %w", id, err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), when.UnixNano())
			return nil
		},
	}
}

func unpause(domid uint16) (when time.Time, err error) {
	mem, err := unix.Open(hypercallDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return when, fmt.Errorf("open %s: %w", hypercallDevice, err)
	}
	defer unix.Close(mem)
	page, err := unix.Mmap(mem, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return when, fmt.Errorf("map %s: %w", hypercallDevice, err)
	}
	defer func() { _ = unix.Munmap(page) }()
	binary.NativeEndian.PutUint32(page[0:], domctlUnpause)
	binary.NativeEndian.PutUint32(page[4:], domctlVersion)
	binary.NativeEndian.PutUint16(page[8:], domid)

	cmd, err := unix.Open(privcmdDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return when, fmt.Errorf("open %s: %w", privcmdDevice, err)
	}
	defer unix.Close(cmd)
	call := [6]uint64{hypercallDomctl, uint64(uintptr(unsafe.Pointer(&page[0])))}
	when = time.Now()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(cmd), privcmdHypercall, uintptr(unsafe.Pointer(&call)))
	runtime.KeepAlive(&call)
	if errno != 0 {
		return when, errno
	}
	return when, nil
}
