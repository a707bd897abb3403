// Package tpm is the random number generator of a TPM 2.0 as a noise source.
//
// [Probe] finds the TPM behind Linux's resource manager, and [New] takes any
// other transport that google/go-tpm speaks.
package tpm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/xentropyd/xentropyd/source"
)

// DefaultDevice is Linux's TPM 2.0 device with the kernel's resource manager:
// unlike /dev/tpm0 it can be open several times.
const DefaultDevice = "/dev/tpmrm0"

// request is how many bytes are asked for at once. TPM2_GetRandom gives at most
// the largest digest that the TPM knows (TCG TPM 2.0 Library, Part 3, 16.1):
// 32 bytes is what each has, and keeps the TPM free for others.
const request = 32

// minEntropy is declared per byte. The TPM gives the output of a DRBG, about
// whose noise source its maker says nothing that can be checked here.
const minEntropy = 2

// Device is the source; make it with [New] or [Open].
type Device struct {
	info source.Info
	open func() (transport.TPMCloser, error)

	mu     sync.Mutex // guards the fields below, not reading
	tpm    transport.TPMCloser
	closed bool
}

// Probe opens the TPM at [DefaultDevice].
func Probe() source.Found {
	d, err := Open(DefaultDevice)
	if err != nil {
		return source.Found{Info: describe(DefaultDevice), Err: err}
	}
	return source.Found{Info: d.Info(), Source: d}
}

// New makes a source of a TPM reached through what open returns. It is called
// now, and again whenever the TPM has failed. The name is for people.
func New(name string, open func() (transport.TPMCloser, error)) (*Device, error) {
	d := &Device{info: describe(name), open: open}
	if _, err := d.connect(); err != nil {
		return nil, err
	}
	return d, nil
}

func describe(name string) source.Info {
	return source.Info{
		ID: source.IDTPM, Name: source.NameTPM, Description: "TPM 2.0 at " + name,
		SampleBytes: 1, MinEntropy: minEntropy, Credited: true,
	}
}

func (d *Device) connect() (transport.TPM, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fmt.Errorf("tpm: %w", source.ErrClosed)
	}
	if d.tpm == nil {
		t, err := d.open()
		if err != nil {
			return nil, err
		}
		d.tpm = t
	}
	return d.tpm, nil
}

// Info describes the source.
func (d *Device) Info() source.Info { return d.info }

// Sample asks the TPM for random bytes until dst is full or ctx is done. One
// command takes the TPM some milliseconds and is not interrupted. A TPM that is
// busy (a warning code that says to try again) gives nothing for now.
func (d *Device) Sample(ctx context.Context, dst []byte) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(dst) == 0 {
		return 0, nil
	}
	t, err := d.connect()
	if err != nil {
		return 0, err
	}
	n := 0
	for n < len(dst) && ctx.Err() == nil {
		got, err := random(t, dst[n:min(n+request, len(dst))])
		if busy(err) {
			break
		}
		if err != nil {
			d.drop()
			return 0, fmt.Errorf("read random bytes from the TPM: %w", explain(err))
		}
		n += got
	}
	return n, nil
}

// random runs one TPM2_GetRandom. A TPM may give fewer bytes than asked.
func random(t transport.TPM, dst []byte) (int, error) {
	w := &wiper{tpm: t}
	defer w.wipe()
	rsp, err := tpm2.GetRandom{BytesRequested: uint16(len(dst))}.Execute(w)
	if err != nil {
		return 0, err
	}
	b := rsp.RandomBytes.Buffer
	defer clear(b)
	switch {
	case len(b) == 0:
		return 0, fmt.Errorf("%w: an empty answer", source.ErrExhausted)
	case len(b) > len(dst):
		return 0, fmt.Errorf("%d bytes came for %d asked: %w", len(b), len(dst), errMalformed)
	}
	return copy(dst, b), nil
}

// drop closes a TPM that failed; the next call connects anew.
func (d *Device) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tpm != nil {
		_ = d.tpm.Close()
		d.tpm = nil
	}
}

// Close closes the TPM.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.tpm == nil {
		return nil
	}
	err := d.tpm.Close()
	d.tpm = nil
	return err
}

// wiper clears the answers that pass through it once they were parsed.
type wiper struct {
	tpm  transport.TPM
	last []byte
}

func (w *wiper) Send(input []byte) ([]byte, error) {
	b, err := w.tpm.Send(input)
	w.last = b
	return b, err
}

func (w *wiper) wipe() { clear(w.last) }

var errMalformed = errors.New("malformed answer")

// busy reports the codes after which a command is to be sent again: TCG TPM 2.0
// Library, Part 2, 6.6.3, warnings.
func busy(err error) bool {
	return errors.Is(err, tpm2.TPMRCRetry) || errors.Is(err, tpm2.TPMRCYielded) || errors.Is(err, tpm2.TPMRCTesting)
}

// explain adds what to do.
func explain(err error) error {
	switch {
	case errors.Is(err, tpm2.TPMRCFailure):
		return fmt.Errorf("%w (the TPM is in failure mode until it is reset: power-cycle the machine)", err)
	case errors.Is(err, tpm2.TPMRCInitialize):
		return fmt.Errorf("%w (the TPM was not started: the firmware has to run TPM2_Startup)", err)
	case errors.Is(err, tpm2.TPMRCLockout):
		return fmt.Errorf("%w (the TPM is locked out: wait for its recovery time or clear the lockout)", err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the device gave no answer: %w", io.ErrUnexpectedEOF)
	}
	return err
}
