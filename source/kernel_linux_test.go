package source

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/seccomptest"
)

// replace sets a variable for the length of a test.
func replace[T any](t *testing.T, v *T, by T) {
	was := *v
	*v = by
	t.Cleanup(func() { *v = was })
}

// step is what one call of getrandom does.
type step struct {
	flags int // that it must be called with
	n     int
	err   error
}

func script(t *testing.T, steps ...step) func([]byte, int) (int, error) {
	return func(p []byte, flags int) (int, error) {
		require.NotEmpty(t, steps, "one call too many")
		s := steps[0]
		steps = steps[1:]
		require.Equal(t, s.flags, flags)
		for i := range s.n {
			p[i] = 0xa5
		}
		return s.n, s.err
	}
}

// Each failure of getrandom alone: /dev/urandom serves, and the source says so.
func TestKernelWithoutGetrandom(t *testing.T) {
	const first, insecure = unix.GRND_NONBLOCK, unix.GRND_INSECURE
	for name, c := range map[string]struct {
		steps []step
		want  string // why something else serves, "" if nothing does
	}{
		"works": {[]step{{first, 32, nil}}, ""},
		"interrupted, short": {[]step{
			{first, 0, unix.EINTR},
			{first, 8, nil},
			{first, 0, unix.EINTR},
			{first, 24, nil},
		}, ""},
		"not seeded":        {[]step{{first, 0, unix.EAGAIN}, {insecure, 32, nil}}, ""},
		"sandbox":           {[]step{{first, 0, unix.EPERM}}, "operation not permitted"},
		"before Linux 3.17": {[]step{{first, 0, unix.ENOSYS}}, "function not implemented"},
		"before Linux 5.6":  {[]step{{first, 0, unix.EAGAIN}, {insecure, 0, unix.EINVAL}}, "invalid argument"},
		"never seeded": {
			[]step{{first, 0, unix.EAGAIN}, {insecure, 0, unix.EAGAIN}},
			"resource temporarily unavailable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			replace(t, &getrandom, script(t, c.steps...))
			s, err := openKernel()
			require.NoError(t, err)
			before := openFiles(t)
			dst := make([]byte, 32)
			n, err := s.Sample(t.Context(), dst)
			require.NoError(t, err)
			require.Equal(t, 32, n)
			assert.NotEqual(t, make([]byte, 32), dst)
			assert.Equal(t, before, openFiles(t), "nothing stays open")
			if c.want == "" {
				assert.Equal(t, kernelInfo, s.Info())
				return
			}
			assert.Contains(t, s.Info().Description, "by /dev/urandom, because: getrandom: "+c.want)
			getrandom = script(t, step{first, 32, nil})
			_, err = s.Sample(t.Context(), dst)
			require.NoError(t, err)
			assert.Equal(t, kernelInfo, s.Info(), "it works again")
		})
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(list)
}

// With neither there is an error that says both, and nothing worse.
func TestKernelWithNothing(t *testing.T) {
	replace(t, &getrandom, func([]byte, int) (int, error) { return 0, unix.EPERM })
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, make([]byte, 100), 0o600))
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		file:                       "not a character device",
		fifo:                       "not a character device", // and it does not wait for a writer
		"/dev/null":                "EOF",
	} {
		replace(t, &urandomPath, path)
		s, err := openKernel()
		require.NoError(t, err)
		n, err := s.Sample(t.Context(), make([]byte, 32))
		require.ErrorIs(t, err, unix.EPERM)
		require.ErrorContains(t, err, want)
		require.Zero(t, n)
	}
}

// The same for real, in a process whose getrandom fails.
func TestKernelUnderSeccomp(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS, unix.EAGAIN} {
		t.Run(errno.Error(), func(t *testing.T) {
			if !seccomptest.Child(t, errno, unix.SYS_GETRANDOM) {
				return
			}
			found, err := Find(NameKernel)
			require.NoError(t, err)
			a, b := make([]byte, 64), make([]byte, 64)
			for _, p := range [][]byte{a, b} {
				n, err := found[0].Sample(t.Context(), p)
				require.NoError(t, err)
				require.Equal(t, 64, n)
			}
			assert.NotEqual(t, a, b)
			assert.Contains(t, found[0].Info().Description, "by /dev/urandom, because: getrandom: "+errno.Error())
			urandomPath = "/nonexistent"
			_, err = found[0].Sample(t.Context(), a)
			require.ErrorIs(t, err, errno)
		})
	}
}

// TestKernelThatNeverAnswers: in a process whose getrandom does not return,
// /dev/urandom serves as well.
func TestKernelThatNeverAnswers(t *testing.T) {
	if !seccomptest.SilentChild(t, unix.SYS_GETRANDOM) {
		return
	}
	found, err := Find(NameKernel)
	require.NoError(t, err)
	p := make([]byte, 64)
	for range 3 {
		n, err := found[0].Sample(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, 64, n)
		assert.NotEqual(t, make([]byte, 64), p)
		assert.Contains(t, found[0].Info().Description, "by /dev/urandom, because: getrandom: no answer")
	}
}
