package seedfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func seedOf(b byte) []byte { return bytes.Repeat([]byte{b}, Size) }

func mustOpen(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// names lists a directory.
func names(t testing.TB, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestStoreLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var", "lib")
	path := filepath.Join(dir, "seed")
	f := mustOpen(t, path)
	_, err := f.Load()
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Contains(t, err.Error(), path)

	for b := byte(1); b < 4; b++ {
		require.NoError(t, f.Store(seedOf(b)))
		got, err := f.Load()
		require.NoError(t, err)
		assert.Equal(t, seedOf(b), got)
	}
	assert.Equal(t, []string{"seed", "seed.lock"}, names(t, dir))
	if runtime.GOOS != "windows" {
		for name, mode := range map[string]fs.FileMode{path: 0o600, path + ".lock": 0o600, dir: 0o700} {
			info, err := os.Stat(name)
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode().Perm(), name)
		}
	}

	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	_, err = f.Load()
	assert.ErrorIs(t, err, ErrClosed)
	assert.ErrorIs(t, f.Store(seedOf(9)), ErrClosed)
	got, err := mustOpen(t, path).Load()
	require.NoError(t, err)
	assert.Equal(t, seedOf(3), got, "the seed survives")
}

func TestUpdate(t *testing.T) {
	f := mustOpen(t, filepath.Join(t.TempDir(), "seed"))
	require.NoError(t, f.Update(bytes.NewReader(seedOf(7))))
	got, err := f.Load()
	require.NoError(t, err)
	assert.Equal(t, seedOf(7), got)

	assert.Error(t, f.Update(bytes.NewReader(make([]byte, Size-1))), "the generator gave too little")
	got, err = f.Load()
	require.NoError(t, err)
	assert.Equal(t, seedOf(7), got)
}

// Contents that are refused, one byte below and above the size among them.
func TestLoadRefusesContent(t *testing.T) {
	for content, reason := range map[string]error{
		"": ErrSize, string(seedOf(1)[:Size-1]): ErrSize, string(seedOf(1)) + "x": ErrSize,
		string(make([]byte, Size)): ErrAllZero,
	} {
		path := filepath.Join(t.TempDir(), "seed")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		f := mustOpen(t, path)
		_, err := f.Load()
		assert.ErrorIs(t, err, reason)
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, path, refused.Path)
		assert.Contains(t, err.Error(), path)
		if reason == ErrAllZero {
			require.NoError(t, f.Store(seedOf(2)), "a seed that is refused is replaced")
			_, err = f.Load()
			assert.NoError(t, err)
			continue
		}
		err = f.Store(seedOf(2))
		require.ErrorAs(t, err, &refused, "what is no seed is left alone")
		assert.ErrorIs(t, err, reason)
		assert.EqualError(t, err, "refuse seed file "+path+": not 64 bytes long ("+strconv.Itoa(len(content))+
			" bytes): it is no seed and left alone: remove it or name another file")
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, content, string(got))
		require.NoError(t, os.Remove(path))
		assert.NoError(t, f.Store(seedOf(2)), "removed, it is in nobody's way")
	}
	path := filepath.Join(t.TempDir(), "seed")
	almost := make([]byte, Size)
	almost[Size-1] = 1
	require.NoError(t, os.WriteFile(path, almost, 0o600))
	_, err := mustOpen(t, path).Load()
	assert.NoError(t, err, "one bit is not all zero")
}

func TestStoreRefusesSeed(t *testing.T) {
	f := mustOpen(t, filepath.Join(t.TempDir(), "seed"))
	require.NoError(t, f.Store(seedOf(1)))
	for reason, seeds := range map[error][][]byte{
		ErrSize: {nil, seedOf(2)[:Size-1], append(seedOf(2), 2)}, ErrAllZero: {make([]byte, Size)},
	} {
		for _, seed := range seeds {
			err := f.Store(seed)
			assert.ErrorIs(t, err, reason)
			assert.ErrorContains(t, err, "refuse a seed for "+f.Path())
		}
	}
	got, err := f.Load()
	require.NoError(t, err)
	assert.Equal(t, seedOf(1), got)
}

func TestDirectoryInPlaceOfFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	require.NoError(t, os.Mkdir(path, 0o700))
	f := mustOpen(t, path)
	_, err := f.Load()
	assert.ErrorIs(t, err, ErrNotRegular)
	assert.ErrorIs(t, f.Store(seedOf(1)), ErrNotRegular)
	assert.Equal(t, []string{"seed", "seed.lock"}, names(t, filepath.Dir(path)), "the temporary file is gone")
}

func TestLeftoversAreRemoved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "seed")
	leave := func() { require.NoError(t, os.WriteFile(path+".new", []byte("half a se"), 0o600)) }
	leave()
	f := mustOpen(t, path)
	assert.Equal(t, []string{"seed.lock"}, names(t, dir), "by Open")
	leave()
	require.NoError(t, f.Store(seedOf(1)))
	assert.Equal(t, []string{"seed", "seed.lock"}, names(t, dir), "by Store")
}

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	first := mustOpen(t, path)
	_, err := Open(path)
	if err == nil && runtime.GOOS != "linux" {
		t.Skip("no lock on this system")
	}
	require.ErrorIs(t, err, ErrInUse)
	assert.Contains(t, err.Error(), path+".lock")
	if runtime.GOOS == "linux" {
		assert.Contains(t, err.Error(), "process "+strconv.Itoa(os.Getpid()))
	}
	require.NoError(t, first.Store(seedOf(1)), "the first is not disturbed")
	require.NoError(t, first.Close())
	mustOpen(t, path)
}

// broken fails at the named step and nowhere else.
type broken struct {
	system
	step string
	err  error
}

type brokenFile struct {
	temporary
	broken
}

func (b broken) at(step string) error {
	if b.step == step {
		return b.err
	}
	return nil
}

func (b broken) create(path string) (temporary, error) {
	if err := b.at("create"); err != nil {
		return nil, err
	}
	file, err := b.system.create(path)
	return brokenFile{file, b}, err
}

func (b broken) rename(from, to string) error {
	if err := b.at("rename"); err != nil {
		return err
	}
	return b.system.rename(from, to)
}

func (b broken) syncDir(dir string) error {
	if err := b.at("sync directory"); err != nil {
		return err
	}
	return b.system.syncDir(dir)
}

func (b broken) mkdir(dir string) error {
	if err := b.at("mkdir"); err != nil {
		return err
	}
	return b.system.mkdir(dir)
}

func (b broken) lock(path string) (*os.File, error) {
	if err := b.at("lock"); err != nil {
		return nil, err
	}
	return b.system.lock(path)
}

func (b brokenFile) Write(p []byte) (int, error) {
	switch b.step {
	case "write":
		n, _ := b.temporary.Write(p[:10])
		return n, b.err
	case "short write":
		return b.temporary.Write(p[:10])
	}
	return b.temporary.Write(p)
}

func (b brokenFile) Sync() error {
	if err := b.at("sync"); err != nil {
		return err
	}
	return b.temporary.Sync()
}

func (b brokenFile) Close() error {
	err := b.temporary.Close()
	if e := b.at("close"); e != nil {
		return e
	}
	return err
}

// Each step fails alone: Store says so, the old seed stands, and nothing is
// left lying about.
func TestEachStepFails(t *testing.T) {
	injected := errors.New("no space left on device")
	for _, step := range []string{
		"mkdir", "lock", "create", "write", "short write", "sync", "close", "rename", "sync directory",
	} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "seed")
			f := mustOpen(t, path)
			require.NoError(t, f.Store(seedOf(1)))
			require.NoError(t, f.Close())

			b := &broken{step: step, err: injected}
			f, err := open(path, b)
			require.NoError(t, err, "what only hinders writing does not hinder Open")
			defer f.Close()
			got, err := f.Load()
			require.NoError(t, err)
			require.Equal(t, seedOf(1), got)

			err = f.Store(seedOf(2))
			require.Error(t, err)
			assert.Contains(t, err.Error(), "seed")
			if step != "short write" {
				assert.ErrorIs(t, err, injected)
			}
			assert.Equal(t, []string{"seed", "seed.lock"}, names(t, dir))
			got, err = f.Load()
			require.NoError(t, err)
			want := seedOf(1)
			if step == "sync directory" {
				want = seedOf(2) // renamed, though perhaps not for good
			}
			assert.Equal(t, want, got)

			b.step = ""
			require.NoError(t, f.Store(seedOf(3)), "when the cause is gone, so is the error")
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte{})
	f.Add(seedOf(1))
	f.Add(make([]byte, Size))
	f.Add(make([]byte, Size+1))
	path := filepath.Join(f.TempDir(), "seed")
	f.Fuzz(func(t *testing.T, content []byte) {
		require.NoError(t, os.WriteFile(path, content, 0o600))
		got, err := (&File{path: path, ops: system{}}).Load()
		if len(content) == Size && !bytes.Equal(content, make([]byte, Size)) {
			require.NoError(t, err)
			require.Equal(t, content, got)
			return
		}
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		require.Nil(t, got)
	})
}

func randomSeed(t testing.TB) []byte {
	t.Helper()
	seed := make([]byte, Size)
	_, err := rand.Read(seed)
	require.NoError(t, err)
	return seed
}
