package image

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/cpio"
)

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
	archive, err := cpio.ArchiveFromReader(cpio.Newc.Reader(bytes.NewReader(b)))
	require.NoError(t, err)
	const all = "bin bin/program dev dev/console etc etc/deep etc/deep/config init proc"
	require.Equal(t, all, strings.Join(archive.Order, " "))
	for name, content := range map[string]string{
		"bin/program": "copied", "etc/deep/config": "text", "init": "/bin/program",
	} {
		r := archive.Files[name]
		b, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
		require.NoError(t, err)
		require.Equal(t, content, string(b))
	}
	for name, mode := range map[string]uint64{
		"bin/program": cpio.S_IFREG | 0o755, "etc/deep": cpio.S_IFDIR | 0o755,
		"dev/console": cpio.S_IFCHR | 0o600, "init": cpio.S_IFLNK | 0o777,
	} {
		require.Equal(t, mode, archive.Files[name].Mode, name)
	}
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
