package tpm

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"

	"github.com/xentropyd/xentropyd/source"
)

// Open opens the TPM at a device path.
func Open(path string) (*Device, error) {
	return New(path, func() (transport.TPMCloser, error) {
		t, err := linuxtpm.Open(path)
		switch {
		case err == nil:
			return t, nil
		case errors.Is(err, fs.ErrNotExist):
			return nil, source.NotPresent(source.NameTPM, "there is no "+path,
				"turn the TPM on in the firmware, or give the virtual machine one")
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("tpm: %w (run as root or in the group tss)", err)
		case errors.Is(err, syscall.EBUSY):
			return nil, fmt.Errorf("tpm: %w (another process has it open: use the resource manager's %s)", err, DefaultDevice)
		}
		return nil, fmt.Errorf("tpm: %w", err)
	})
}
