package tpm

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	d, err := New("swtpm", func() (transport.TPMCloser, error) {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return nil, err
		}
		return transport.FromReadWriteCloser(c), nil
	})
	require.NoError(t, err)
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
	d, err = New("swtpm", d.open)
	require.NoError(t, err)
	_, err = d.Sample(t.Context(), make([]byte, 32))
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	_, err = d.Sample(t.Context(), make([]byte, 32))
	require.Error(t, err)
	require.NoError(t, d.Close())
}

func TestDeviceOfThisMachine(t *testing.T) {
	f := Probe()
	if f.Source == nil {
		t.Skipf("needs a TPM 2.0 at %s, as root or in group tss: %v", DefaultDevice, f.Err)
	}
	defer f.Source.Close()
	n, err := f.Source.Sample(t.Context(), make([]byte, 64))
	require.NoError(t, err)
	require.Equal(t, 64, n)
}
