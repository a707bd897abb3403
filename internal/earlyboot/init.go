package earlyboot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// initPID is the number of the first process of a machine, and of one in a PID
// namespace of its own (pid_namespaces(7)).
const initPID = 1

// initialPIDNamespace is what the link /proc/PID/ns/pid says of the processes
// that are in the machine's own namespace: its number is part of the kernel's
// interface (PROC_PID_INIT_INO, include/linux/proc_ns.h).
const initialPIDNamespace = "pid:[4026531836]" // 0xEFFFFFFC

// Init says whether this process is the machine's init: number 1 in the
// machine's own PID namespace, not in a container's. It asks /proc, which it
// mounts for as long as that takes where it is missing. On systems other than
// Linux it is false.
func Init() bool { return thisMachine.isInit(os.Getpid(), os.Getenv) }

func (m *mounter) isInit(pid int, getenv func(string) string) bool {
	if pid != initPID {
		return false
	}
	namespace, err := m.pidNamespace()
	if err == nil {
		return namespace == initialPIDNamespace
	}
	if errors.Is(err, ErrUnsupported) {
		return false
	}
	// No /proc, and none to be had. A machine's init may mount; else there is
	// what container managers leave behind (the container interface of systemd,
	// Docker's and Podman's files).
	return !errors.Is(err, fs.ErrPermission) && getenv("container") == "" &&
		!m.exists("/.dockerenv") && !m.exists("/run/.containerenv")
}

func (m *mounter) pidNamespace() (string, error) {
	link := filepath.Join(m.root, "/proc/self/ns/pid")
	if m.exists("/proc/self") {
		return os.Readlink(link)
	}
	proc := filepath.Join(m.root, "/proc")
	if err := os.MkdirAll(proc, 0o755); err != nil {
		return "", err
	}
	if err := m.mount(proc, "proc"); err != nil {
		return "", err
	}
	namespace, err := os.Readlink(link)
	return namespace, errors.Join(err, m.unmount(proc))
}

func (m *mounter) exists(path string) bool {
	_, err := os.Lstat(filepath.Join(m.root, path))
	return err == nil
}
