package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/source"
)

// fake answers TPM2_GetRandom as a test says.
type fake struct {
	answer func(asked int) ([]byte, error)
	sent   [][]byte // its answers, to see that they are wiped
	closed int
}

func (f *fake) Close() error {
	f.closed++
	return nil
}

// Send checks the command: TPM 2.0 Library, Part 3, 16.1: tag
// TPM_ST_NO_SESSIONS, size 12, TPM_CC_GetRandom 0x17b, bytes wanted.
func (f *fake) Send(command []byte) ([]byte, error) {
	if !bytes.Equal(command[:10], []byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b}) || len(command) != 12 {
		return nil, errors.New("not the command that was expected")
	}
	b, err := f.answer(int(binary.BigEndian.Uint16(command[10:])))
	f.sent = append(f.sent, b)
	return b, err
}

// reply is a successful answer with these bytes.
func reply(data []byte) []byte {
	b := []byte{0x80, 0x01, 0, 0, 0, 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	b = append(b, data...)
	binary.BigEndian.PutUint32(b[2:], uint32(len(b)))
	return b
}

// refuse is an answer with a response code.
func refuse(rc tpm2.TPMRC) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, uint32(rc))
}

func open(t *testing.T, f *fake) (*Device, *int) {
	t.Helper()
	opened := 0
	return NewTransport("a fake", func() (transport.TPMCloser, error) {
		opened++
		return f, nil
	}), &opened
}

func TestSample(t *testing.T) {
	next := byte(0)
	f := &fake{answer: func(asked int) ([]byte, error) {
		data := make([]byte, min(asked, 20)) // a TPM with SHA-1 alone gives 20
		for i := range data {
			next++
			data[i] = next
		}
		return reply(data), nil
	}}
	d, opened := open(t, f)
	assert.Equal(t, "tpm", d.Info().Name)
	assert.Equal(t, "TPM 2.0 at a fake", d.Info().Description)
	dst := make([]byte, 100)
	n, err := d.Sample(t.Context(), dst)
	require.NoError(t, err)
	require.Equal(t, 100, n)
	for i, b := range dst {
		require.EqualValues(t, i+1, b, "in order, nothing lost or twice")
	}
	for _, b := range f.sent {
		assert.Equal(t, make([]byte, len(b)), b, "answers are wiped")
	}
	n, err = d.Sample(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, n)
	assert.Equal(t, 1, *opened)
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	assert.Equal(t, 1, f.closed)
	_, err = d.Sample(t.Context(), dst)
	require.ErrorIs(t, err, source.ErrClosed)
}

// Each failure alone: an error, the TPM is closed, and the next call opens it
// anew and works.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		answer []byte
		err    error
		is     error
		text   string
	}{
		"failure mode":       {refuse(tpm2.TPMRCFailure), nil, tpm2.TPMRCFailure, "power-cycle"},
		"not started":        {refuse(tpm2.TPMRCInitialize), nil, tpm2.TPMRCInitialize, "TPM2_Startup"},
		"locked out":         {refuse(tpm2.TPMRCLockout), nil, tpm2.TPMRCLockout, "lockout"},
		"no such command":    {refuse(tpm2.TPMRCCommandCode), nil, tpm2.TPMRCCommandCode, "TPM"},
		"vanished":           {nil, os.ErrClosed, os.ErrClosed, "TPM"},
		"end of file":        {nil, io.EOF, io.ErrUnexpectedEOF, "no answer"},
		"empty":              {reply(nil), nil, source.ErrExhausted, "empty"},
		"too long":           {reply(make([]byte, 33)), nil, errMalformed, "33 bytes"},
		"no answer":          {[]byte{}, nil, nil, "TPM"},
		"half a header":      {[]byte{0x80, 0x01, 0, 0}, nil, nil, "TPM"},
		"cut off":            {reply(make([]byte, 32))[:20], nil, nil, "TPM"},
		"a length that lies": {append([]byte{0x80, 0x01, 0, 0, 0, 14, 0, 0, 0, 0, 0xff, 0xff}, 1, 2), nil, nil, "TPM"},
	} {
		t.Run(name, func(t *testing.T) {
			fail := true
			f := &fake{answer: func(asked int) ([]byte, error) {
				if fail {
					return c.answer, c.err
				}
				return reply(bytes.Repeat([]byte{7}, asked)), nil
			}}
			d, opened := open(t, f)
			dst := make([]byte, 32)
			n, err := d.Sample(t.Context(), dst)
			require.Error(t, err)
			require.Zero(t, n)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.ErrorContains(t, err, c.text)
			assert.Equal(t, 1, f.closed)
			fail = false
			n, err = d.Sample(t.Context(), dst)
			require.NoError(t, err)
			require.Equal(t, 32, n)
			assert.Equal(t, 2, *opened)
			require.NoError(t, d.Close())
		})
	}
}

// A TPM that is busy gives nothing now, and keeps what came before.
func TestBusy(t *testing.T) {
	for _, rc := range []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting} {
		calls := 0
		f := &fake{answer: func(asked int) ([]byte, error) {
			if calls++; calls == 2 {
				return refuse(rc), nil
			}
			return reply(make([]byte, asked)), nil
		}}
		d, _ := open(t, f)
		n, err := d.Sample(t.Context(), make([]byte, 100))
		require.NoError(t, err)
		require.Equal(t, 32, n)
		assert.Zero(t, f.closed)
	}
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{answer: func(asked int) ([]byte, error) {
		cancel()
		return reply(make([]byte, asked)), nil
	}}
	d, _ := open(t, f)
	n, err := d.Sample(ctx, make([]byte, 100))
	require.NoError(t, err)
	require.Equal(t, 32, n)
	n, err = d.Sample(ctx, make([]byte, 100))
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, n)
	require.Len(t, f.sent, 1)
}

// What cannot be opened is tried again by the next call.
func TestCannotOpen(t *testing.T) {
	fails := 2
	f := &fake{answer: func(asked int) ([]byte, error) { return reply(make([]byte, asked)), nil }}
	d := NewTransport("x", func() (transport.TPMCloser, error) {
		if fails--; fails >= 0 {
			return nil, os.ErrPermission
		}
		return f, nil
	})
	for range 2 {
		_, err := d.Sample(t.Context(), make([]byte, 8))
		require.ErrorIs(t, err, os.ErrPermission)
	}
	n, err := d.Sample(t.Context(), make([]byte, 8))
	require.NoError(t, err)
	require.Equal(t, 8, n)
	require.NoError(t, d.Close())
	require.NoError(t, New("/nonexistent/tpmrm0").Close(), "one that was never opened")
}

// Each call returns within a second or so, with what there is by then.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(asked int) ([]byte, error) {
			time.Sleep(150 * time.Millisecond)
			return reply(make([]byte, asked)), nil
		}}
		d, _ := open(t, f)
		n, err := d.Sample(t.Context(), make([]byte, 8192))
		require.NoError(t, err)
		require.Equal(t, 7*32, n)
	})
}

// A TPM that is busy for ever, one that never answers and one that cannot even
// be opened: each is out within the read timeout, and said to be once.
func TestNeverAnswers(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for name, d := range map[string]*Device{
		"busy": NewTransport("x", func() (transport.TPMCloser, error) {
			return &fake{answer: func(int) ([]byte, error) { return refuse(tpm2.TPMRCRetry), nil }}, nil
		}),
		"hangs": NewTransport("x", func() (transport.TPMCloser, error) {
			return &fake{answer: func(int) ([]byte, error) { <-hang; return nil, io.EOF }}, nil
		}),
		"hangs in open": NewTransport("x", func() (transport.TPMCloser, error) {
			<-hang
			return nil, io.EOF
		}),
	} {
		t.Run(name, func(t *testing.T) {
			grace := 10 * time.Millisecond
			if name == "busy" {
				grace = time.Minute
			}
			changed := make(chan source.Status, 10)
			h := source.NewHarvester([]source.Source{d}, nil, source.WithReadTimeout(50*time.Millisecond),
				source.WithGrace(grace), source.WithBackoff(time.Hour, time.Hour),
				source.WithNotify(func(s source.Status) { changed <- s }))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- h.Run(ctx) }()
			s := <-changed
			assert.Equal(t, source.StateQuarantined, s.State)
			assert.Contains(t, s.LastError, "no answer for 0 s")
			cancel()
			if err := <-done; name == "busy" {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, source.ErrStuck)
			}
		})
	}
}

// A TPM that is opened while it is closed does not stay open.
func TestCloseDuringOpen(t *testing.T) {
	opening, closed := make(chan struct{}), make(chan struct{})
	f := &fake{}
	d := NewTransport("x", func() (transport.TPMCloser, error) {
		close(opening)
		<-closed
		return f, nil
	})
	result := make(chan error)
	go func() {
		_, err := d.Sample(t.Context(), make([]byte, 8))
		result <- err
	}()
	<-opening
	require.NoError(t, d.Close())
	close(closed)
	require.ErrorIs(t, <-result, source.ErrClosed)
	require.Equal(t, 1, f.closed)
}

// Whatever a TPM answers: no panic, and no more bytes than it gave.
func FuzzAnswer(f *testing.F) {
	f.Add(reply(make([]byte, 32)))
	f.Add(reply(nil))
	f.Add(refuse(tpm2.TPMRCRetry))
	f.Add([]byte{})
	f.Add([]byte{0x80, 0x01, 0, 0, 0, 14, 0, 0, 0, 0, 0xff, 0xff, 1, 2})
	f.Fuzz(func(t *testing.T, answer []byte) {
		d := NewTransport("a fake", func() (transport.TPMCloser, error) {
			return &fake{answer: func(int) ([]byte, error) { return bytes.Clone(answer), nil }}, nil
		})
		n, err := d.Sample(t.Context(), make([]byte, 32))
		if n < 0 || n > 32 || (err != nil && n != 0) {
			t.Fatal(n, err)
		}
	})
}
