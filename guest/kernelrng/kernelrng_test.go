package kernelrng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeDevice is the ioctl layer of a test: it parses what the kernel would, and
// fails as told.
type fakeDevice struct {
	addErr, reseedErr, closeErr error

	calls  []string
	counts []uint32
	data   [][]byte // copies
	given  [][]byte // the very buffers
	closes int
}

func (d *fakeDevice) add(info []byte) error {
	d.calls = append(d.calls, "add")
	if d.addErr != nil {
		return d.addErr
	}
	size := binary.NativeEndian.Uint32(info[4:])
	if int(size) != len(info)-8 {
		return syscall.EFAULT // the kernel would read past the buffer, or leave some of it
	}
	d.counts = append(d.counts, binary.NativeEndian.Uint32(info))
	d.data = append(d.data, bytes.Clone(info[8:]))
	d.given = append(d.given, info)
	return nil
}

func (d *fakeDevice) reseed() error {
	d.calls = append(d.calls, "reseed")
	return d.reseedErr
}

func (d *fakeDevice) close() error {
	d.closes++
	return d.closeErr
}

func open(t *testing.T, d *fakeDevice) *RNG {
	t.Helper()
	r, err := newRNG(d)
	require.NoError(t, err)
	d.calls, d.counts, d.data, d.given = nil, nil, nil, nil
	return r
}

func TestOpenTriesWithNothing(t *testing.T) {
	d := &fakeDevice{}
	_, err := newRNG(d)
	require.NoError(t, err)
	require.Equal(t, []string{"add"}, d.calls)
	require.Equal(t, []uint32{0}, d.counts)
	require.Empty(t, d.data[0])
}

func TestOpenRefused(t *testing.T) {
	d := &fakeDevice{addErr: syscall.EPERM}
	_, err := newRNG(d)
	var privilege *PrivilegeError
	require.ErrorAs(t, err, &privilege)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "CAP_SYS_ADMIN")
	require.Equal(t, 1, d.closes, "the device must not stay open")

	d = &fakeDevice{addErr: syscall.ENOTTY}
	_, err = newRNG(d)
	require.ErrorIs(t, err, syscall.ENOTTY)
	require.False(t, errors.As(err, &privilege))
	require.Equal(t, 1, d.closes)
}

func TestSeedAddsThenReseeds(t *testing.T) {
	d := &fakeDevice{}
	r := open(t, d)
	seed := bytes.Repeat([]byte{0xa5}, 32)
	credited, err := r.Seed(seed, 200)
	require.NoError(t, err)
	require.Equal(t, 200, credited)
	require.Equal(t, []string{"add", "reseed"}, d.calls)
	require.Equal(t, []uint32{200}, d.counts)
	require.Equal(t, seed, d.data[0])
}

func TestSeedCreditLimit(t *testing.T) {
	for _, c := range []struct{ bytes, bits, want int }{
		{1, 7, 7},
		{1, 8, 8},
		{1, 9, 8},
		{32, 255, 255},
		{32, 256, 256},
		{32, 257, 256},
		{32, math.MaxInt, 256},
		{maxSeed, 8 * maxSeed, 8 * maxSeed},
	} {
		d := &fakeDevice{}
		credited, err := open(t, d).Seed(make([]byte, c.bytes), c.bits)
		require.NoError(t, err)
		require.Equal(t, c.want, credited)
		require.Equal(t, []uint32{uint32(c.want)}, d.counts)
	}
}

func TestSeedWipesItsBuffer(t *testing.T) {
	for _, reseed := range []error{nil, syscall.EIO, errNeverSeeded} {
		d := &fakeDevice{reseedErr: reseed}
		r := open(t, d)
		seed := bytes.Repeat([]byte{0xa5}, 32)
		_, _ = r.Seed(seed, 256)
		require.Equal(t, make([]byte, 40), d.given[0])
		require.Equal(t, bytes.Repeat([]byte{0xa5}, 32), seed, "the caller's bytes are the caller's")
	}
}

func TestSeedBadArguments(t *testing.T) {
	for _, c := range []struct{ bytes, bits int }{{0, 0}, {0, 8}, {maxSeed + 1, 0}, {32, -1}} {
		d := &fakeDevice{}
		_, err := open(t, d).Seed(make([]byte, c.bytes), c.bits)
		require.Error(t, err)
		require.Empty(t, d.calls)
	}
}

func TestSeedRefusedLater(t *testing.T) {
	d := &fakeDevice{}
	r := open(t, d)
	d.addErr = syscall.EPERM // CAP_SYS_ADMIN was dropped
	credited, err := r.Seed(make([]byte, 32), 256)
	var privilege *PrivilegeError
	require.ErrorAs(t, err, &privilege)
	require.Zero(t, credited)
	require.Equal(t, []string{"add"}, d.calls, "nothing to rekey from")
}

func TestReseedFails(t *testing.T) {
	d := &fakeDevice{reseedErr: syscall.EIO}
	_, err := open(t, d).Seed(make([]byte, 32), 256)
	require.ErrorIs(t, err, syscall.EIO)

	d = &fakeDevice{reseedErr: syscall.EPERM}
	_, err = open(t, d).Seed(make([]byte, 32), 256)
	require.ErrorIs(t, err, fs.ErrPermission)
}

func TestKernelNeverSeeded(t *testing.T) {
	d := &fakeDevice{reseedErr: errNeverSeeded}
	r := open(t, d)
	credited, err := r.Seed(make([]byte, 32), 1)
	require.NoError(t, err, "the credit was taken: the kernel waits for more")
	require.Equal(t, 1, credited)
	_, err = r.Seed(make([]byte, 32), 0)
	require.ErrorIs(t, err, ErrNotCredited)
}

func TestClose(t *testing.T) {
	d := &fakeDevice{closeErr: syscall.EIO}
	r := open(t, d)
	require.ErrorIs(t, r.Close(), syscall.EIO)
	require.NoError(t, r.Close())
	require.Equal(t, 1, d.closes)
	_, err := r.Seed(make([]byte, 32), 256)
	require.ErrorIs(t, err, ErrClosed)
	require.Empty(t, d.calls)
}

func TestSeedIsSerialised(t *testing.T) {
	d := &fakeDevice{} // unguarded: the race detector watches
	r := open(t, d)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				_, _ = r.Seed(make([]byte, 32), 8)
			}
		})
	}
	wg.Wait()
	require.Len(t, d.calls, 800)
	for i := 0; i < len(d.calls); i += 2 {
		require.Equal(t, []string{"add", "reseed"}, d.calls[i:i+2])
	}
}

func TestParseAvail(t *testing.T) {
	bits, err := parseAvail("256\n")
	require.NoError(t, err)
	require.Equal(t, 256, bits)
	for _, bad := range []string{"", "\n", "many", "-1", "25 6", "99999999999999999999"} {
		_, err := parseAvail(bad)
		require.ErrorContains(t, err, entropyAvail, bad)
	}
}

func TestFake(t *testing.T) {
	var f Fake
	credited, err := f.Seed(make([]byte, 2), 100)
	require.NoError(t, err)
	require.Equal(t, 16, credited)
	f.Fail(fs.ErrPermission)
	_, err = f.Seed(make([]byte, 2), 100)
	require.ErrorIs(t, err, fs.ErrPermission)
	f.Fail(nil)
	_, err = f.Seed(make([]byte, 2), 3)
	require.NoError(t, err)
	seeds, bits := f.Taken()
	require.Equal(t, 2, seeds)
	require.Equal(t, 19, bits)
}
