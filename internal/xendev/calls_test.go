package xendev

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// script is a System that writes down what is asked, answers what it was told
// to and fails where it was told to.
type script struct {
	calls []string
	fail  map[string]error // by the first word, or an ioctl's number
	index uint64
}

func (s *script) note(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	s.calls = append(s.calls, line)
	for prefix, err := range s.fail {
		if strings.HasPrefix(line, prefix) {
			return err
		}
	}
	return nil
}

func (s *script) Open(path string) (int, error) {
	if err := s.note("open %s", path); err != nil {
		return -1, err
	}
	return 5, nil
}

func (s *script) Close(fd int) error { return s.note("close %d", fd) }

func (s *script) OpenPolled(path string) (File, error) {
	if err := s.note("open %s", path); err != nil {
		return nil, err
	}
	return nopFile{}, nil
}

func (s *script) Ioctl(fd int, request uint32, arg []byte) (int, error) {
	if err := s.note("ioctl %d %#x %x", fd, request, arg); err != nil {
		return 0, err
	}
	switch request {
	case reqMap:
		order.PutUint64(arg[8:], s.index)
	case reqAlloc:
		order.PutUint64(arg[8:], s.index)
		for i := range order.Uint32(arg[4:]) {
			order.PutUint32(arg[16+4*i:], 100+i)
		}
	case reqBindUnbound, reqBindInterdomain:
		return 17, nil
	}
	return 0, nil
}

func (s *script) Read(int, []byte) (int, error)      { return 0, syscall.EAGAIN }
func (s *script) Write(_ int, p []byte) (int, error) { return len(p), s.note("write %x", p) }
func (s *script) Munmap(b []byte) error              { return s.note("munmap %d", len(b)) }
func (s *script) Mmap(fd int, offset int64, length int) ([]byte, error) {
	if err := s.note("mmap %d %#x %d", fd, offset, length); err != nil {
		return nil, err
	}
	return make([]byte, length), nil
}

// nopFile is an open file as far as Control goes.
type nopFile struct{}

func (nopFile) SyscallConn() (syscall.RawConn, error) { return nopFile{}, nil }
func (nopFile) SetReadDeadline(time.Time) error       { return nil }
func (nopFile) Close() error                          { return nil }
func (nopFile) Control(f func(uintptr)) error         { f(6); return nil }
func (nopFile) Read(func(uintptr) bool) error         { return os.ErrClosed }
func (nopFile) Write(func(uintptr) bool) error        { return os.ErrClosed }

// deallocCall is the giving back of a few pages at an offset, of which this is
// the second byte.
func deallocCall(offset, pages byte) string {
	return fmt.Sprintf("ioctl 5 %#x %x", reqDealloc,
		append([]byte{0, offset, 0, 0, 0, 0, 0, 0, pages}, make([]byte, padded(sizeDealloc)-9)...))
}

func TestAllocCalls(t *testing.T) {
	s := &script{index: 0x3000}
	g, err := OpenGntalloc(s)
	require.NoError(t, err)
	m, refs, err := g.Alloc(7, 2)
	require.NoError(t, err)
	require.Equal(t, []uint32{100, 101}, refs)
	require.Len(t, m.Bytes(), 8192)
	require.NoError(t, m.NotifyUnmap(4096+21, 9))
	require.Error(t, m.NotifyUnmap(8192, 9))
	require.Error(t, m.NotifyUnmap(-1, 9))
	require.NoError(t, m.Unmap())
	require.ErrorIs(t, m.Unmap(), ErrClosed)
	require.NoError(t, g.Close())
	require.ErrorIs(t, g.Close(), ErrClosed)
	require.Equal(t, []string{
		"open /dev/xen/gntalloc",
		fmt.Sprintf("ioctl 5 %#x %x", reqAlloc, append([]byte{7, 0, 1, 0, 2, 0, 0, 0},
			make([]byte, padded(sizeAllocHead+2*sizeAllocRef)-8)...)),
		"mmap 5 0x3000 8192",
		"ioctl 5 0x104707 15400000000000000300000009000000",
		"munmap 8192",
		deallocCall(0x30, 2),
		"close 5",
	}, s.calls)
}

func TestMapCalls(t *testing.T) {
	s := &script{index: 0x1000}
	g, err := OpenGntdev(s)
	require.NoError(t, err)
	require.NoError(t, g.SetMaxGrants(513))
	m, err := g.Map(3, []uint32{8, 9})
	require.NoError(t, err)
	require.NoError(t, m.NotifyUnmap(20, 4))
	require.NoError(t, g.Close()) // before the mapping goes
	require.ErrorIs(t, m.NotifyUnmap(20, 4), ErrClosed)
	require.NoError(t, m.Unmap())
	require.Equal(t, []string{
		"open /dev/xen/gntdev",
		"ioctl 5 0x44703 01020000",
		"ioctl 5 0x184700 0200000000000000000000000000000003000000080000000300000009000000",
		"mmap 5 0x1000 8192",
		"ioctl 5 0x104707 14100000000000000300000004000000",
		"close 5",
		"munmap 8192",
	}, s.calls)

	s = &script{index: 0x1000}
	g, err = OpenGntdev(s)
	require.NoError(t, err)
	m, err = g.Map(3, []uint32{8, 9})
	require.NoError(t, err)
	require.NoError(t, m.Unmap())
	require.Equal(t, "ioctl 5 0x104701 00100000000000000200000000000000", s.calls[len(s.calls)-1])
}

// What an ioctl made is given back when the mmap fails.
func TestMmapFails(t *testing.T) {
	s := &script{index: 0x2000, fail: map[string]error{"mmap": syscall.EINVAL}}
	g, err := OpenGntdev(s)
	require.NoError(t, err)
	_, err = g.Map(3, []uint32{8})
	require.ErrorIs(t, err, syscall.EINVAL)
	require.Equal(t, "ioctl 5 0x104701 00200000000000000100000000000000", s.calls[len(s.calls)-1])
	a, err := OpenGntalloc(s)
	require.NoError(t, err)
	_, _, err = a.Alloc(3, 1)
	require.ErrorIs(t, err, syscall.EINVAL)
	require.Equal(t, deallocCall(0x20, 1), s.calls[len(s.calls)-1])
}

func TestNothingToMap(t *testing.T) {
	s := &script{}
	g, err := OpenGntdev(s)
	require.NoError(t, err)
	_, err = g.Map(3, nil)
	require.ErrorIs(t, err, syscall.EINVAL)
	a, err := OpenGntalloc(s)
	require.NoError(t, err)
	_, _, err = a.Alloc(3, 0)
	require.ErrorIs(t, err, syscall.EINVAL)
	require.Len(t, s.calls, 2)
}

func TestMaxGrants(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.ENOTTY: true, syscall.ENOSYS: true,
		syscall.EINVAL: false, syscall.EPERM: false,
	} {
		g, oerr := OpenGntdev(&script{fail: map[string]error{"ioctl 5 0x44703": err}})
		require.NoError(t, oerr)
		require.Equal(t, want, g.SetMaxGrants(1) == nil, err)
	}
}

func TestEvtchnCalls(t *testing.T) {
	s := &script{}
	e, err := OpenEvtchn(s)
	require.NoError(t, err)
	p, err := e.BindUnbound(7)
	require.NoError(t, err)
	require.Equal(t, uint32(17), p)
	_, err = e.BindInterdomain(8, 99)
	require.NoError(t, err)
	require.NoError(t, e.Notify(17))
	require.NoError(t, e.Unmask(17))
	require.NoError(t, e.Unbind(17))
	require.NoError(t, e.Close())
	require.ErrorIs(t, e.Close(), ErrClosed)
	_, err = e.BindUnbound(7)
	require.ErrorIs(t, err, ErrClosed)
	require.Equal(t, []string{
		"open /dev/xen/evtchn",
		"ioctl 6 0x44502 07000000",
		"ioctl 6 0x84501 0800000063000000",
		"ioctl 6 0x44504 11000000",
		"write 11000000",
		"ioctl 6 0x44503 11000000",
		"ioctl 6 0x44503 11000000", // the second one
	}, s.calls)
}

// Errors keep the number and say what to do.
func TestHints(t *testing.T) {
	for _, c := range []struct {
		fail string
		err  error
		do   func(System) error
		hint string
	}{
		{"open", syscall.ENOENT, allocOne, "modprobe xen-gntalloc"},
		{"open", syscall.ENODEV, mapOne, "modprobe xen-gntdev"},
		{"open", syscall.ENXIO, bindOne, "modprobe xen-evtchn"},
		{"open", syscall.EACCES, bindOne, "root"},
		{"open", syscall.EPERM, mapOne, "root"},
		{"open", syscall.EMFILE, mapOne, "open files"},
		{"ioctl", syscall.ENOSPC, allocOne, "/sys/module/xen_gntalloc/parameters/limit"},
		{"ioctl", syscall.ENOMEM, mapOne, "/sys/module/xen_gntdev/parameters/limit"},
		{"mmap", syscall.EINVAL, mapOne, "no longer"},
		{"ioctl", syscall.ENOSPC, bindOne, "max_event_channels"},
		{"ioctl", syscall.EPERM, bindOne, "XSM"},
		{"ioctl", syscall.EPERM, allocOne, "XSM"},
		{"ioctl", syscall.EIO, allocOne, ""},
	} {
		err := c.do(&script{fail: map[string]error{c.fail: c.err}})
		require.ErrorIs(t, err, c.err)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Hint, c.hint)
		if c.hint == "" {
			require.Empty(t, e.Hint)
			require.NotContains(t, err.Error(), ";")
		}
		require.Contains(t, err.Error(), e.Hint)
		require.Contains(t, err.Error(), "/dev/xen/")
	}
}

func allocOne(s System) error {
	g, err := OpenGntalloc(s)
	if err == nil {
		_, _, err = g.Alloc(1, 1)
	}
	return err
}

func mapOne(s System) error {
	g, err := OpenGntdev(s)
	if err == nil {
		_, err = g.Map(1, []uint32{8})
	}
	return err
}

func bindOne(s System) error {
	e, err := OpenEvtchn(s)
	if err == nil {
		_, err = e.BindUnbound(1)
	}
	return err
}

// Without devices the machine's own System says what is missing.
func TestThisMachine(t *testing.T) {
	if _, err := os.Stat(EvtchnPath); err == nil {
		t.Skip("this is a Xen domain")
	}
	for _, f := range []func(System) error{allocOne, mapOne, bindOne} {
		err := f(nil)
		require.Error(t, err)
		if !errors.Is(err, ErrUnsupported) {
			require.ErrorIs(t, err, os.ErrNotExist)
			require.ErrorContains(t, err, "modprobe xen-")
		}
	}
}
