// Package hwrng reads the hardware random number generator that Linux offers
// as /dev/hwrng: a chip, or what a hypervisor passes in (virtio-rng).
//
// [Probe] finds it with the usual paths, and [Open] takes others. The result is
// a [source.Source] that survives unplugging: an error ends a call of Sample,
// and the next call opens the device again.
package hwrng

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/xentropyd/xentropyd/source"
)

// The usual paths: Linux, Documentation/admin-guide/hw_random.rst.
const (
	DefaultDevice  = "/dev/hwrng"
	DefaultCurrent = "/sys/class/misc/hw_random/rng_current"
)

// While the device has nothing, it is asked again after pollFirst, then twice
// as long each time up to pollMost. virtio-rng gives 64 bytes every 7 ms or so.
const (
	pollFirst = time.Millisecond
	pollMost  = 100 * time.Millisecond
)

// minEntropy is declared per byte. What stands behind the device is not known
// here: on a virtual machine it is the host's generator, and a host that
// feeds its guest badly is the very thing that health tests do not see. Two
// bits of eight are less than a third of what virtio_rng showed; the table in
// source/declared.go has the command.
const minEntropy = 2

// Device is the source; make it with [Open].
type Device struct {
	path, current string

	mu     sync.Mutex // guards the fields below, not reading
	info   source.Info
	file   *os.File
	closed bool
}

// Probe opens the device at the usual paths.
func Probe() source.Found {
	d, err := Open(DefaultDevice, DefaultCurrent)
	if err != nil {
		return source.Found{Info: describe("", DefaultDevice), Err: err}
	}
	return source.Found{Info: d.Info(), Source: d}
}

// Open opens the device; current names the file that tells which generator is
// behind it, and may be missing.
func Open(device, current string) (*Device, error) {
	d := &Device{path: device, current: current}
	if _, err := d.open(); err != nil {
		return nil, err
	}
	return d, nil
}

func describe(generator, path string) source.Info {
	text := "hardware random number generator at " + path
	if generator != "" {
		text += ": " + generator
	}
	return source.Info{
		ID: source.IDHWRNG, Name: source.NameHWRNG, Description: text,
		SampleBytes: 1, MinEntropy: minEntropy, Credited: true,
	}
}

// open returns the open file, opening it if need be.
func (d *Device) open() (*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fmt.Errorf("hwrng %s: %w", d.path, source.ErrClosed)
	}
	if d.file != nil {
		return d.file, nil
	}
	generator := ""
	if d.current != "" {
		if b, err := os.ReadFile(d.current); err == nil {
			generator = strings.ToValidUTF8(strings.TrimSpace(string(b[:min(len(b), 64)])), "?")
		}
	}
	if generator == "none" {
		return nil, source.NotPresent(source.NameHWRNG, "the kernel has no generator to put behind "+d.path,
			"load its driver, or give the virtual machine a virtio-rng device")
	}
	// Non-blocking: the driver answers EAGAIN while it has nothing, and no
	// read can hang for longer than the hardware does.
	f, err := os.OpenFile(d.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, source.NotPresent(source.NameHWRNG, "there is no "+d.path,
			"load the driver of the generator, or give the virtual machine a virtio-rng device")
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("hwrng: %w (run as root, or let the group of the service read it)", err)
	case err != nil:
		return nil, fmt.Errorf("hwrng: %w", explain(err))
	}
	d.file, d.info = f, describe(generator, d.path)
	return f, nil
}

// Info describes the source; the description names the generator in use.
func (d *Device) Info() source.Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info
}

// Sample reads what the device has, and waits until it has something.
func (d *Device) Sample(ctx context.Context, dst []byte) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(dst) == 0 {
		return 0, nil
	}
	f, err := d.open()
	if err != nil {
		return 0, err
	}
	defer endWith(ctx, f)()
	for wait := pollFirst; ; wait = min(2*wait, pollMost) {
		n, err := f.Read(dst)
		switch {
		case n > 0:
			return n, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return 0, ctx.Err()
		case !errors.Is(err, syscall.EAGAIN):
			d.drop(f)
			return 0, fmt.Errorf("hwrng: %w", explain(err))
		}
		if err := sleep(ctx, wait); err != nil {
			return 0, err
		}
	}
}

// endWith makes a Read that waits inside a file that can be polled end with ctx.
// (The real device cannot be polled, and answers EAGAIN.) What it returns has
// to be called after the Read and undoes it.
func endWith(ctx context.Context, f *os.File) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = f.SetReadDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done
			_ = f.SetReadDeadline(time.Time{})
		}
	}
}

// drop closes a file that failed; the next call opens the device anew.
func (d *Device) drop(f *os.File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = f.Close()
	if d.file == f {
		d.file = nil
	}
}

// Close closes the device and makes a call of Sample that waits return.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	d.file = nil
	return err
}

// explain adds what to do to the errors that the driver core gives.
func explain(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("device gave no more data: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("%w (the generator was unplugged or its driver removed)", err)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w (the generator reports a fault: see the kernel log)", err)
	case errors.Is(err, os.ErrClosed):
		return fmt.Errorf("%w: %w", source.ErrClosed, err)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
