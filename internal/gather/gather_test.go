package gather

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/fortuna"
	"github.com/xentropyd/xentropyd/source"
)

// fixed is a kernel that gives one byte over and over.
func fixed(b byte) func([]byte) error {
	return func(p []byte) error { copy(p, bytes.Repeat([]byte{b}, len(p))); return nil }
}

func failing([]byte) error { return errors.New("getrandom: operation not permitted") }

// first is what a pool gives that absorbed noise, was seeded with more, and has
// this kernel.
func first(t *testing.T, kernel func([]byte) error, noise byte, more string) string {
	t.Helper()
	f := fortuna.New(fortuna.WithExplicitSeed())
	p := New(f, NewKernel(kernel, slog.New(slog.DiscardHandler)))
	p.Absorb(source.Batch{Data: bytes.Repeat([]byte{noise}, 40), Bits: Need})
	require.True(t, p.HasEnough())
	p.Seed([]byte(more))
	b := make([]byte, 16)
	_, err := f.Read(b)
	require.NoError(t, err)
	return string(b)
}

// Every part goes into the seed, and a kernel that gives nothing leaves the
// others to serve.
func TestSeedMixesAllParts(t *testing.T) {
	seen := map[string]string{}
	for name, got := range map[string]string{
		"all": first(t, fixed(1), 1, "a"), "another kernel": first(t, fixed(2), 1, "a"),
		"another noise": first(t, fixed(1), 2, "a"),
		"another seed":  first(t, fixed(1), 1, "b"), "no kernel": first(t, failing, 1, "a"),
		"no kernel, another noise": first(t, failing, 2, "a"), "no kernel, another seed": first(t, failing, 1, "b"),
	} {
		require.Empty(t, seen[got], name)
		seen[got] = name
	}
	require.Equal(t, first(t, fixed(1), 1, "a"), first(t, fixed(1), 1, "a"), "and nothing else does")
}

func TestKernelThatFailsIsNamedOnce(t *testing.T) {
	var log bytes.Buffer
	k := NewKernel(failing, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		k.Fill(make([]byte, 8))
	}
	require.Equal(t, 1, strings.Count(log.String(), "operation not permitted"))
}

func TestKernelIsThisSystems(t *testing.T) {
	var log bytes.Buffer
	k := NewKernel(nil, slog.New(slog.NewTextHandler(&log, nil)))
	b := make([]byte, 64)
	k.Fill(b)
	if log.Len() > 0 {
		t.Skip("the kernel's RNG does not answer here: ", log.String())
	}
	require.NotZero(t, [64]byte(b))
}

// The hash of the first noise keeps the end of it: after the seed it must not,
// whatever the length.
func TestFirstNoiseIsWiped(t *testing.T) {
	for n := 1; n < 300; n++ {
		p := New(fortuna.New(fortuna.WithExplicitSeed()), NewKernel(failing, slog.New(slog.DiscardHandler)))
		p.Absorb(source.Batch{Data: bytes.Repeat([]byte{0xa5}, n)})
		h := reflect.ValueOf(p.initial).Elem().FieldByName("x")
		if n%128 > 3 {
			require.Contains(t, fmt.Sprint(h), "165",
				"crypto/sha512 keeps its block elsewhere now: look whether it is wiped")
		}
		p.Seed()
		require.NotContains(t, fmt.Sprint(h), "165", "%d bytes", n)
	}
}
