package hwrng

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/source"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// fifo is a device that gives nothing until somebody writes.
func fifo(t *testing.T) (string, *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hwrng")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	return path, writer(t, path)
}

// writer opens a FIFO for both, so that neither side waits for the other.
func writer(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// terminal is a pseudo-terminal: a USB generator and its device.
func terminal(t *testing.T) (master *os.File, slave string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v; mount -t devpts devpts /dev/pts", err)
	}
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	return master, fmt.Sprintf("/dev/pts/%d", n)
}

// read gets what there is.
func read(t *testing.T, d *Device) string {
	t.Helper()
	dst := make([]byte, 64)
	n, err := d.Sample(t.Context(), dst)
	require.NoError(t, err)
	return string(dst[:n])
}

// refused gives the error of a call that must fail.
func refused(t *testing.T, d *Device) error {
	t.Helper()
	n, err := d.Sample(t.Context(), make([]byte, 64))
	require.Error(t, err)
	require.Zero(t, n)
	return err
}

// A device that is not there at first, is pulled out and plugged in again.
func TestComesAndGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hwrng")
	d := New(1, path)
	err := refused(t, d)
	require.ErrorIs(t, err, source.ErrAbsent)
	require.ErrorContains(t, err, path+": source is not present: there is no such device")
	require.ErrorContains(t, err, "virtio-rng")

	require.NoError(t, unix.Mkfifo(path, 0o600))
	err = refused(t, d)
	require.ErrorIs(t, err, source.ErrAbsent)
	require.ErrorContains(t, err, "no process writes to this FIFO")
	w := writer(t, path)
	_, err = w.WriteString("first")
	require.NoError(t, err)
	require.Equal(t, "first", read(t, d))

	require.NoError(t, w.Close())
	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, refused(t, d), source.ErrAbsent, "its writer has gone")
	require.ErrorContains(t, refused(t, d), "there is no such device")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	_, err = writer(t, path).WriteString("back")
	require.NoError(t, err)
	require.Equal(t, "back", read(t, d))

	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	require.ErrorIs(t, refused(t, d), source.ErrClosed)
}

func TestTerminalComesAndGoes(t *testing.T) {
	master, slave := terminal(t)
	d := New(1, slave)
	defer d.Close()
	_, err := d.Sample(canceledSoon(t), make([]byte, 8))
	require.ErrorIs(t, err, context.Canceled, "it is open and has nothing")
	_, err = master.WriteString("x")
	require.NoError(t, err)
	require.Equal(t, "x", read(t, d))
	require.NoError(t, master.Close())
	require.NotErrorIs(t, refused(t, d), source.ErrAbsent, "pulled out while it is read: that is a failure")
	require.ErrorIs(t, refused(t, d), source.ErrAbsent)
}

func canceledSoon(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	return ctx
}

// What cannot be a generator is refused by name, whatever it holds.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	require.NoError(t, err)
	defer l.Close()
	for path, want := range map[string]string{
		write(t, "file", "data"):     "regular file",
		dir:                          "directory",
		filepath.Join(dir, "socket"): "no such device or address",
		"/dev/urandom":               "never counted",
		"/dev/zero":                  "no generator of the machine's",
		blockDevice(t):               "neither a character device nor a FIFO",
	} {
		if path == "" {
			continue
		}
		before := openFiles(t)
		err := refused(t, New(1, path))
		require.ErrorIs(t, err, source.ErrAbsent)
		require.ErrorContains(t, err, path)
		require.ErrorContains(t, err, want)
		require.Equal(t, before, openFiles(t))
	}
}

// blockDevice finds one that can be opened, "" if there is none.
func blockDevice(t *testing.T) string {
	list, err := filepath.Glob("/dev/*")
	require.NoError(t, err)
	for _, path := range list {
		info, err := os.Stat(path)
		if err != nil || info.Mode()&fs.ModeDevice == 0 || info.Mode()&fs.ModeCharDevice != 0 {
			continue
		}
		if f, err := os.Open(path); err == nil {
			f.Close()
			return path
		}
	}
	return ""
}

// rng_current speaks of the core's device: what stands there is nothing to a
// FIFO or a terminal.
func TestCurrentIsTheCoresAlone(t *testing.T) {
	for _, current := range []string{"none\n", "virtio_rng.0\n"} {
		pipe, w := fifo(t)
		master, slave := terminal(t)
		for path, w := range map[string]*os.File{pipe: w, slave: master} {
			d := New(1, path)
			d.current = write(t, "rng_current", current)
			_, err := d.Sample(canceledSoon(t), make([]byte, 8))
			require.ErrorIs(t, err, context.Canceled)
			_, err = w.WriteString("noise")
			require.NoError(t, err)
			require.Equal(t, "noise", read(t, d))
			require.Equal(t, "hardware random number generator at "+path, d.Info().Description)
			require.NoError(t, d.Close())
		}
	}
}

// The core's device is known by its number, whatever its name.
func TestCurrentOfTheCore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "generator")
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(miscMajor, hwrngMinor))); err != nil {
		t.Skipf("needs root, to make a device: %v", err)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, isCore(info))
	null, err := os.Stat("/dev/null")
	require.NoError(t, err)
	require.False(t, isCore(null))

	f, generator, err := openDevice(path, write(t, "rng_current", "virtio_rng.0\n"))
	if err != nil {
		t.Skipf("needs the hw_random core and a file system that devices may be on: %v", err)
	}
	require.NoError(t, f.Close())
	require.Equal(t, "virtio_rng.0", generator)
	_, _, err = openDevice(path, write(t, "rng_current", "none\n"))
	require.ErrorIs(t, err, source.ErrAbsent)
	require.ErrorContains(t, err, "no generator")
}

// Every byte passes a terminal as it is, at once, and what came before is gone.
func TestTerminalIsRaw(t *testing.T) {
	master, slave := terminal(t)
	fd, err := unix.Open(slave, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	_, err = master.WriteString("stale\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err == nil && n > 0
	}, 20*time.Second, time.Millisecond)
	_, err = io.ReadFull(master, make([]byte, len("stale\r\n"))) // its echo
	require.NoError(t, err)

	d := New(1, slave)
	defer d.Close()
	_, err = d.Sample(canceledSoon(t), make([]byte, 8))
	require.ErrorIs(t, err, context.Canceled)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	_, err = master.Write(all)
	require.NoError(t, err)
	got := ""
	for len(got) < len(all) {
		got += read(t, d)
	}
	require.Equal(t, string(all), got)
	require.NoError(t, master.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err = master.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "nothing is echoed")
}

// terminalVariable names the terminal that a child of this test program opens.
const terminalVariable = "XENTROPYD_TEST_TERMINAL"

// A daemon has no controlling terminal, and a generator does not become it: its
// hang-up would be the daemon's.
func TestTerminalDoesNotControl(t *testing.T) {
	if slave := os.Getenv(terminalVariable); slave != "" {
		f, _, err := openDevice(slave, "")
		require.NoError(t, err)
		defer f.Close()
		_, err = os.Open("/dev/tty")
		require.ErrorIs(t, err, unix.ENXIO, "there is a controlling terminal")
		return
	}
	_, slave := terminal(t)
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), terminalVariable+"="+slave)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
}

func TestInfo(t *testing.T) {
	ids, names := map[uint8]bool{}, map[string]bool{}
	for number := 1; number <= Max; number++ {
		info := New(number, "/dev/x").Info()
		assert.True(t, info.Credited)
		assert.Equal(t, 1, info.SampleBytes)
		ids[info.ID], names[info.Name] = true, true
	}
	assert.Len(t, ids, Max)
	assert.Len(t, names, Max)
	assert.Equal(t, source.IDHWRNG, New(1, "x").Info().ID)
	assert.Equal(t, "hwrng", New(1, "x").Info().Name)
	assert.Equal(t, source.IDHWRNGMore, New(2, "x").Info().ID)
	assert.Equal(t, "hwrng2", New(2, "x").Info().Name)
	assert.Equal(t, source.IDHWRNGLast, New(Max, "x").Info().ID)
}

func TestNothingAsked(t *testing.T) {
	n, err := New(1, "/nonexistent").Sample(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestExplain(t *testing.T) {
	d := New(1, "/dev/x")
	for err, want := range map[error]string{
		syscall.ENODEV: "unplugged",
		syscall.EIO:    "fault",
		os.ErrClosed:   "closed",
		io.EOF:         "no more data",
	} {
		got := d.explain(nil, &os.PathError{Op: "read", Path: "/dev/x", Err: err})
		require.ErrorContains(t, got, want)
		require.ErrorContains(t, got, "/dev/x")
		require.Equal(t, err == syscall.ENODEV, errors.Is(got, source.ErrAbsent))
	}
	other := errors.New("other")
	require.ErrorIs(t, d.explain(nil, other), other)
}

// A device that blocks does not keep Sample from returning when its context is
// done, nor when it is closed, and works afterwards.
func TestBlockingDevice(t *testing.T) {
	path, w := fifo(t)
	d := New(1, path)
	dst := make([]byte, 16)

	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := d.Sample(ctx, dst)
		result <- err
	}()
	time.Sleep(10 * time.Millisecond) // most likely it waits in read(2) by now
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	_, err := d.Sample(ctx, dst)
	require.ErrorIs(t, err, context.Canceled)

	_, err = w.WriteString("noise")
	require.NoError(t, err)
	n, err := d.Sample(t.Context(), dst)
	require.NoError(t, err)
	require.Equal(t, "noise", string(dst[:n]))

	go func() {
		_, err := d.Sample(t.Context(), dst)
		result <- err
	}()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-result, source.ErrClosed)
}

// No file stays open, however often a device fails.
func TestNoLeak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hwrng")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	before := openFiles(t)
	d := New(1, path)
	for range 100 {
		_ = refused(t, d)
	}
	require.NoError(t, d.Close())
	require.Equal(t, before, openFiles(t))
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(list)
}

// The generator of this machine, through the health tests.
func TestDeviceOfThisMachine(t *testing.T) {
	d := New(1, DefaultDevice)
	if _, err := d.Sample(t.Context(), make([]byte, 8)); err != nil {
		t.Skipf("needs a generator behind %s, as root: modprobe virtio_rng, or run QEMU with -device virtio-rng-pci: %v", DefaultDevice, err)
	}
	t.Log(d.Info().Description)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	h := source.NewHarvester([]source.Source{d}, func(b source.Batch) {
		assert.Equal(t, source.NameHWRNG, b.Info.Name)
		cancel()
	})
	require.NoError(t, h.Run(ctx))
	s := h.Status()[0]
	t.Logf("%d samples at %.0f B/s, %v", s.Samples, s.BytesPerSecond, s.Failures)
	require.True(t, s.Healthy, "%+v", s)
}
