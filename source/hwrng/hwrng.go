// Package hwrng reads hardware random number generators: the one that Linux
// offers as /dev/hwrng, a chip or what a hypervisor passes in (virtio-rng), and
// others that are a device of their own, such as a USB generator's terminal.
//
// [New] makes a [source.Source] of a path. It opens nothing: the device may
// come and go as it likes. Each call of Sample opens it when it is not open,
// says [source.ErrAbsent] when it cannot, and closes it when it fails.
package hwrng

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/source"
)

// DefaultDevice is Linux's, Documentation/admin-guide/hw_random.rst.
const DefaultDevice = "/dev/hwrng"

// Max is how many generators there can be: so many numbers are kept for them.
const Max = 1 + int(source.IDHWRNGLast-source.IDHWRNGMore) + 1

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

// Device is the source; make it with [New].
type Device struct {
	path    string
	current string // the file that tells which generator is behind the core's device

	mu     sync.Mutex // guards the fields below; nothing that may block happens under it
	info   source.Info
	file   *os.File
	closed bool
}

// New makes a source of a device: a character device or a FIFO. The first one's
// name is "hwrng"; number 2, up to [Max], is "hwrng2" and so on.
func New(number int, path string) *Device {
	return &Device{path: path, current: currentFile, info: describe(number, path)}
}

func describe(number int, path string) source.Info {
	id, name := source.IDHWRNG, source.NameHWRNG
	if number > 1 {
		id = min(source.IDHWRNGMore+uint8(min(number, Max)-2), source.IDHWRNGLast)
		name = fmt.Sprintf("%s%d", source.NameHWRNG, number)
	}
	return source.Info{
		ID: id, Name: name, Description: "hardware random number generator at " + path,
		SampleBytes: 1, MinEntropy: minEntropy, Credited: true,
	}
}

// open returns the open file, opening it if need be.
func (d *Device) open() (*os.File, error) {
	d.mu.Lock()
	f, closed := d.file, d.closed
	d.mu.Unlock()
	switch {
	case closed:
		return nil, d.error(source.ErrClosed)
	case f != nil:
		return f, nil
	}
	f, generator, err := openDevice(d.path, d.current)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	if closed = d.closed; !closed {
		d.file = f
		d.info.Description = "hardware random number generator at " + d.path
		if generator != "" {
			d.info.Description += ": " + generator
		}
	}
	d.mu.Unlock()
	if closed {
		_ = f.Close()
		return nil, d.error(source.ErrClosed)
	}
	return f, nil
}

func (d *Device) error(err error) error { return fmt.Errorf("hwrng %s: %w", d.path, err) }

// Info describes the source; the description names the generator in use, once
// the device was opened.
func (d *Device) Info() source.Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info
}

// Sample reads what the device has, and waits until it has something. To open
// the device and to read may take as long as its driver likes.
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
	for pause := pollFirst; ; pause = min(2*pause, pollMost) {
		n, err := f.Read(dst)
		switch {
		case n > 0:
			return n, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return 0, ctx.Err()
		case !errors.Is(err, syscall.EAGAIN):
			err = d.explain(f, err)
			d.drop(f)
			return 0, err
		}
		if !wait.For(ctx, pause) {
			return 0, ctx.Err()
		}
	}
}

// endWith makes a Read that waits inside a file that can be polled end with
// ctx. (The real device cannot be polled, and answers EAGAIN.) What it returns
// has to be called after the Read and undoes it.
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

// drop closes a file that failed, unless Close has; the next call opens the
// device anew.
func (d *Device) drop(f *os.File) {
	d.mu.Lock()
	mine := d.file == f
	if mine {
		d.file = nil
	}
	d.mu.Unlock()
	if mine {
		_ = f.Close()
	}
}

// Close closes the device and makes a call of Sample that waits return, unless
// the driver does not let it.
func (d *Device) Close() error {
	d.mu.Lock()
	f := d.file
	d.file, d.closed = nil, true
	d.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.Close()
}

// explain adds what to do to the errors of reading. A generator that was pulled
// out, and a FIFO that nobody writes to, are absent.
func (d *Device) explain(f *os.File, err error) error {
	gone := func(why, hint string) error { return source.NotPresent(d.path, why, hint) }
	switch {
	case errors.Is(err, io.EOF) && isFIFO(f):
		return gone("no process writes to this FIFO", "start the one that should")
	case errors.Is(err, io.EOF):
		return d.error(fmt.Errorf("device gave no more data: %w", io.ErrUnexpectedEOF))
	case errors.Is(err, syscall.ENODEV):
		return gone("no such device", "the generator was unplugged or its driver removed")
	case errors.Is(err, syscall.EIO):
		return d.error(fmt.Errorf("%w (the generator reports a fault or was pulled out: see the kernel log)", err))
	case errors.Is(err, os.ErrClosed):
		return d.error(fmt.Errorf("%w: %w", source.ErrClosed, err))
	}
	return d.error(err)
}

func isFIFO(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}
