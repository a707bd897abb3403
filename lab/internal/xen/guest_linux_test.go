package xen

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGuestConfig(t *testing.T) {
	text := GuestConfig{Name: "lab gäst", Type: PVH, Words: "a=b", Lines: []string{"vpmu = 1"}}.text()
	require.Equal(t, `name = "lab gäst"
type = "pvh"
kernel = "`+GuestKernel+`"
ramdisk = "`+GuestImage+`"
memory = 256
vcpus = 1
extra = "console=hvc0 quiet panic=1 a=b lab.line=/dev/hvc0"
vpmu = 1
`, text)
	text = GuestConfig{Name: "n", Image: "/other"}.text()
	require.Contains(t, text, "ramdisk = \"/other\"\n")
	require.Contains(t, text, "type = \"pv\"\n")
	require.NotContains(t, text, "lab.line", "no agent is in another's image")
}

func TestCreateRefusesNames(t *testing.T) {
	for _, name := range []string{`a"b`, `a\b`, "a\nb"} {
		require.Error(t, new(Dom0).Create(t.Context(), GuestConfig{Name: name}))
	}
}

// QEMU takes a comma for the next module.
func TestMachines(t *testing.T) {
	for _, m := range Machines {
		args := strings.Join(m.Args("lab.line="+m.Line), "\n")
		require.Contains(t, args, " lab.line="+m.Line+",dom0.img")
		found, err := Find(m.Name)
		require.NoError(t, err)
		require.Same(t, m, found)
	}
	_, err := Find("none")
	require.ErrorContains(t, err, "xenstored and oxenstored")
}

func TestRoomFor(t *testing.T) {
	const out = "102400\ntotal 241800\n-rw------- 1 root root 241799 b.save\n"
	require.NoError(t, roomFor("/tmp/a.save", 100<<20, out))
	err := roomFor("/tmp/a.save", 100<<20+1, out)
	require.ErrorContains(t, err, "is full: 100 MiB are free, /tmp/a.save may take 100; there are:\ntotal 241800\n-rw")
	for _, bad := range []string{"", "df: /tmp: can't find mount point"} {
		require.Error(t, roomFor("/tmp/a.save", 1, bad), bad)
	}
}
