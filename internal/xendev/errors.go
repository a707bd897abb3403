package xendev

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

var (
	// ErrUnsupported is given where there are no such devices.
	ErrUnsupported = errors.New("xen's user space devices need Linux (/dev/xen/gntdev, gntalloc, evtchn)")

	// ErrClosed is the use of something that was closed.
	ErrClosed = fs.ErrClosed
)

// Error says what failed on which device, and what can be done about it.
type Error struct {
	Op     string // such as "allocate 3 grants for domain 7"
	Device string
	Err    error  // a syscall.Errno from the kernel
	Hint   string // what to do, or empty
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s: %v", e.Device, e.Op, e.Err)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }

// driver is one device as an administrator sees it.
type driver struct {
	path   string
	module string
	hints  map[syscall.Errno]string // for everything but open
}

var (
	evtchnDriver = &driver{EvtchnPath, "xen-evtchn", map[syscall.Errno]string{
		syscall.ENOSPC: "this domain has no event channel left: close channels, or raise max_event_channels in " +
			"its xl configuration",
		syscall.EINVAL:   "the port does not wait for this domain: its owner may have gone or bound it anew",
		syscall.ESRCH:    "there is no such domain any more",
		syscall.EPERM:    "xen's security policy (XSM) forbids it",
		syscall.EFBIG:    "events were lost: too many ports for one open device",
		syscall.ENOTCONN: "the port is not bound here",
	}}
	gntdevDriver = &driver{GntdevPath, "xen-gntdev", map[syscall.Errno]string{
		syscall.ENOMEM: "memory is short, or the driver's limit is reached: " +
			"see /sys/module/xen_gntdev/parameters/limit",
		syscall.EINVAL: "the other domain does not (or no longer) grant these pages for writing, or there are more " +
			"than /sys/module/xen_gntdev/parameters/limit",
		syscall.EPERM:  "xen's security policy (XSM) forbids it",
		syscall.ENOENT: "nothing is mapped there",
	}}
	gntallocDriver = &driver{GntallocPath, "xen-gntalloc", map[syscall.Errno]string{
		syscall.ENOSPC: "the driver's limit of pages is reached: raise it (modprobe xen-gntalloc limit=4096, or " +
			"write to /sys/module/xen_gntalloc/parameters/limit; default 1024)," +
			" or the domain's grant table is full (xl: max_grant_frames)",
		syscall.ENOMEM: "memory is short",
		syscall.EPERM:  "xen's security policy (XSM) forbids it",
		syscall.ENOENT: "nothing is allocated there",
	}}
)

// failed is the one constructor of what calls on an open device return.
func (d *driver) failed(err error, op string) error {
	var errno syscall.Errno
	hint := ""
	if errors.As(err, &errno) {
		hint = d.hints[errno]
	}
	return &Error{Op: op, Device: d.path, Err: err, Hint: hint}
}

func (d *driver) openFailed(err error) error {
	hint := ""
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		hint = fmt.Sprintf("load the driver with modprobe %s; it loads only in a Xen domain (/sys/hypervisor/type "+
			"says xen)", d.module)
	case errors.Is(err, fs.ErrPermission):
		hint = "run as root, or let this user read and write the device"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		hint = "raise the limit of open files"
	}
	return &Error{Op: "open", Device: d.path, Err: err, Hint: hint}
}
