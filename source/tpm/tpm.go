// Package tpm is the random number generator of a TPM 2.0 as a noise source.
//
// [New] makes a [source.Source] of a device path, and [NewTransport] of any
// transport that google/go-tpm speaks. They open nothing: each call of Sample
// opens the TPM when it is not open, says [source.ErrAbsent] when it cannot,
// and closes it when it fails.
package tpm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

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

// linger is how long a call of Sample goes on asking for more. A slow TPM takes
// 100 ms for each answer.
const linger = time.Second

// minEntropy is declared per byte. The TPM gives the output of a DRBG, about
// whose noise source its maker says nothing that can be checked here.
const minEntropy = 2

// Device is the source; make it with [New] or [NewTransport].
type Device struct {
	info source.Info
	open func() (transport.TPMCloser, error)

	mu     sync.Mutex // guards the fields below; nothing that may block happens under it
	tpm    transport.TPMCloser
	closed bool
}

// NewTransport makes a source of a TPM reached through what open returns. It is
// called at the first call of Sample, and again whenever the TPM has failed.
// The name is for people.
func NewTransport(name string, open func() (transport.TPMCloser, error)) *Device {
	return &Device{open: open, info: source.Info{
		ID: source.IDTPM, Name: source.NameTPM, Description: "TPM 2.0 at " + name,
		SampleBytes: 1, MinEntropy: minEntropy, Credited: true,
	}}
}

func (d *Device) connect() (transport.TPMCloser, error) {
	d.mu.Lock()
	t, closed := d.tpm, d.closed
	d.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case t != nil:
		return t, nil
	}
	t, err := d.open()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	if closed = d.closed; !closed {
		d.tpm = t
	}
	d.mu.Unlock()
	if closed {
		_ = t.Close()
		return nil, errClosed
	}
	return t, nil
}

// Info describes the source.
func (d *Device) Info() source.Info { return d.info }

// Sample asks the TPM for random bytes until dst is full, ctx is done or a
// second is over. One command takes the TPM some milliseconds and is not
// interrupted. A TPM that is busy (a warning code that says to try again) gives
// nothing for now.
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
	for begin := time.Now(); n < len(dst) && ctx.Err() == nil && (n == 0 || time.Since(begin) < linger); {
		got, err := random(t, dst[n:min(n+request, len(dst))])
		if busy(err) {
			break
		}
		if err != nil {
			d.drop(t)
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

// drop closes a TPM that failed, unless Close has; the next call connects anew.
func (d *Device) drop(t transport.TPMCloser) {
	d.mu.Lock()
	mine := d.tpm == t
	if mine {
		d.tpm = nil
	}
	d.mu.Unlock()
	if mine {
		_ = t.Close()
	}
}

// Close closes the TPM. A call of Sample that waits for an answer returns when
// the TPM gives it.
func (d *Device) Close() error {
	d.mu.Lock()
	t := d.tpm
	d.tpm, d.closed = nil, true
	d.mu.Unlock()
	if t == nil {
		return nil
	}
	return t.Close()
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

var (
	errMalformed = errors.New("malformed answer")
	errClosed    = fmt.Errorf("tpm: %w", source.ErrClosed)
)

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
