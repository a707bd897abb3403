package tpm

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/source"
)

// A real TPM 2.0 in software, through the health tests.
func TestSoftwareTPM(t *testing.T) {
	bin, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("needs a software TPM: apt-get install swtpm")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(bin, "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	require.Eventually(t, func() bool { // that the socket is there does not say that anybody listens on it
		c, err := net.Dial("unix", socket)
		return err == nil && c.Close() == nil
	}, 20*time.Second, 5*time.Millisecond)
	d := NewTransport("swtpm", func() (transport.TPMCloser, error) {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return nil, err
		}
		return transport.FromReadWriteCloser(c), nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	bits := 0.0
	h := source.NewHarvester([]source.Source{d}, func(b source.Batch) {
		bits = b.Bits
		cancel()
	})
	require.NoError(t, h.Run(ctx))
	require.True(t, h.Status()[0].Healthy, "%+v", h.Status()[0])
	assert.InDelta(t, 2048, bits, 0)
	t.Logf("%.0f B/s", h.Status()[0].BytesPerSecond)

	// The TPM goes away while it is used.
	d = NewTransport("swtpm", d.open)
	_, err = d.Sample(t.Context(), make([]byte, 32))
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	_, err = d.Sample(t.Context(), make([]byte, 32))
	require.Error(t, err)
	require.NoError(t, d.Close())
}

func TestDeviceOfThisMachine(t *testing.T) {
	d := New(DefaultDevice)
	defer d.Close()
	n, err := d.Sample(t.Context(), make([]byte, 64))
	if errors.Is(err, source.ErrAbsent) {
		t.Skipf("needs a TPM 2.0 at %s, as root or in group tss: %v", DefaultDevice, err)
	}
	require.NoError(t, err)
	require.Equal(t, 64, n)
}

// What is no TPM's device is absent, with the reason, and left closed.
func TestDevicePath(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "there is no such device",
		file:                       "not a character device",
		fifo:                       "not a character device",
		dir:                        "is a directory",
	} {
		before := openFiles(t)
		_, err := New(path).Sample(t.Context(), make([]byte, 8))
		require.ErrorIs(t, err, source.ErrAbsent)
		require.ErrorContains(t, err, path+": source is not present: ")
		require.ErrorContains(t, err, want)
		require.Equal(t, before, openFiles(t))
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(list)
}

// The device's transport: a command is written, its answer read, and an answer
// that asks to come again is handed on.
func TestDeviceTransport(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	kernel := os.NewFile(uintptr(pair[1]), "the kernel's end")
	defer kernel.Close()
	answers := [][]byte{reply(bytes.Repeat([]byte{5}, 32)), refuse(tpm2.TPMRCRetry)}
	go func() {
		command := make([]byte, 100)
		for _, a := range answers {
			_, _ = kernel.Read(command)
			_, _ = kernel.Write(a)
		}
	}()
	d := NewTransport("x", func() (transport.TPMCloser, error) {
		return device{os.NewFile(uintptr(pair[0]), "the device")}, nil
	})
	defer d.Close()
	dst := make([]byte, 64)
	n, err := d.Sample(t.Context(), dst)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte{5}, 32), dst[:n])
}
