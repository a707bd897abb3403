package image

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/cpio"
)

func records(t *testing.T, archive []byte) (names []string, content map[string]string, mode map[string]uint64) {
	t.Helper()
	content, mode = make(map[string]string), make(map[string]uint64)
	r := cpio.Newc.Reader(bytes.NewReader(archive))
	for {
		rec, err := r.ReadRecord()
		if err == io.EOF {
			return names, content, mode
		}
		require.NoError(t, err)
		b, err := io.ReadAll(io.NewSectionReader(rec, 0, int64(rec.FileSize)))
		require.NoError(t, err)
		names = append(names, rec.Name)
		content[rec.Name], mode[rec.Name] = string(b), rec.Mode
	}
}

func sample(t *testing.T) *Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "from")
	require.NoError(t, os.WriteFile(file, []byte("copied"), 0o600))
	im := New()
	im.File("bin/program", file, 0o755)
	im.Add(cpio.StaticFile("/etc/deep/config", "text", 0o644), cpio.Symlink("init", "/bin/program"),
		cpio.CharDev("dev/console", 0o600, 5, 1), cpio.Directory("proc", 0o755), cpio.Directory("etc", 0o755))
	return im
}

func TestPack(t *testing.T) {
	b, err := sample(t).Pack()
	require.NoError(t, err)
	names, content, mode := records(t, b)
	require.Equal(t, []string{"bin", "bin/program", "dev", "dev/console", "etc", "etc/deep", "etc/deep/config", "init", "proc"}, names)
	require.Equal(t, "copied", content["bin/program"])
	require.Equal(t, "text", content["etc/deep/config"])
	require.Equal(t, "/bin/program", content["init"])
	require.EqualValues(t, cpio.S_IFREG|0o755, mode["bin/program"])
	require.EqualValues(t, cpio.S_IFDIR|0o755, mode["etc/deep"])
	require.EqualValues(t, cpio.S_IFCHR|0o600, mode["dev/console"])
	require.EqualValues(t, cpio.S_IFLNK|0o777, mode["init"])
}

func TestGzip(t *testing.T) {
	im := sample(t)
	plain, err := im.Pack()
	require.NoError(t, err)
	again, err := im.Pack()
	require.NoError(t, err)
	require.True(t, bytes.Equal(plain, again))
	zipped, err := im.Gzip()
	require.NoError(t, err)
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(plain, b))
}

func TestPackMissingFile(t *testing.T) {
	im := New()
	im.File("bin/program", filepath.Join(t.TempDir(), "not-there"), 0o755)
	_, err := im.Pack()
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "bin/program")
}
