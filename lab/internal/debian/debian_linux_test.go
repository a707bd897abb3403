package debian

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChooseMirror(t *testing.T) {
	for _, c := range []struct{ name, targets, want string }{
		{"debian's", "http://a/debian/ bookworm main\nhttp://a/debian/ bookworm-updates main\n", "http://a/debian/"},
		{
			"another archive with a suite of that name first",
			"http://b/ bookworm main\nhttp://a/ bookworm-updates main\nhttp://a/ bookworm main\n", "http://a/",
		},
		{"other component", "http://a/ bookworm contrib\nhttp://a/ bookworm-updates main\n", ""},
		{"other release", "http://a/ trixie main\nhttp://a/ trixie-updates main\n", ""},
		{"security alone", "http://a/ bookworm-security main\n", ""},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, chooseMirror(c.targets)) })
	}
}

func TestOpenCache(t *testing.T) {
	t.Setenv(CacheVariable, "/somewhere/else")
	c, err := OpenCache()
	require.NoError(t, err)
	require.Equal(t, "/somewhere/else/lock", c.Path("lock"))
	t.Setenv(CacheVariable, "")
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	c, err = OpenCache()
	require.NoError(t, err)
	require.Equal(t, "/xdg/xentropyd-lab", c.Root)
}

func TestUnpackAndFetch(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("no dpkg-deb here: apt-get install dpkg")
	}
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "DEBIAN"), 0o755))
	control := "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n"
	require.NoError(t, os.WriteFile(filepath.Join(tree, "DEBIAN/control"), []byte(control), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "file"), []byte("x"), 0o644))
	deb := filepath.Join(dir, "p.deb")
	out, err := exec.Command("dpkg-deb", "--build", "--root-owner-group", tree, deb).CombinedOutput()
	require.NoError(t, err, "%s", out)

	c := &Cache{Root: filepath.Join(dir, "cache")}
	at := c.Path("tree", "amd64")
	require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
	require.NoError(t, unpack(t.Context(), deb, at))
	require.NoError(t, unpack(t.Context(), deb, at), "beside others")
	b, err := os.ReadFile(filepath.Join(at, "file"))
	require.NoError(t, err)
	require.Equal(t, "x", string(b))
	require.ErrorContains(t, unpack(t.Context(), filepath.Join(dir, "not-there.deb"), at), "not-there.deb")

	// With all there, Fetch asks nobody.
	list := []Package{{Name: "p"}}
	require.NoError(t, os.WriteFile(filepath.Join(at, listFile), fmt.Append(nil, fmt.Sprintln(list)), 0o644))
	found, err := c.Fetch(t.Context(), "amd64", list, false)
	require.NoError(t, err)
	require.Equal(t, at, found)
}

func TestLock(t *testing.T) {
	waited := make(chan struct{})
	c := &Cache{Root: filepath.Join(t.TempDir(), "new"), Log: func(string, ...any) { close(waited) }}
	unlock, err := c.Lock()
	require.NoError(t, err)
	locked := make(chan error)
	go func() {
		unlock, err := c.Lock()
		if err == nil {
			unlock()
		}
		locked <- err
	}()
	<-waited
	select {
	case <-locked:
		t.Fatal("two hold the lock")
	default:
	}
	unlock()
	require.NoError(t, <-locked)
}

func TestRequire(t *testing.T) {
	require.NoError(t, Require(map[string]string{"sh": "dash"}))
	err := Require(map[string]string{"sh": "dash", "lab-none-b": "pkg", "lab-none-a": "pkg"})
	require.ErrorContains(t, err, "lab-none-a, lab-none-b not found")
	require.ErrorContains(t, err, "recommends pkg")
	require.NotContains(t, err.Error(), "pkg pkg")
}
