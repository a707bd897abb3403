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
	text = GuestConfig{Name: "n", Type: PV, Memory: 64, Image: "/other"}.text()
	require.Contains(t, text, "ramdisk = \"/other\"\n")
	require.Contains(t, text, "memory = 64\n")
	require.NotContains(t, text, "lab.line", "no agent is in another's image")
}

func TestCreateRefusesNames(t *testing.T) {
	for _, name := range []string{`a"b`, `a\b`, "a\nb"} {
		require.Error(t, new(Dom0).Create(t.Context(), GuestConfig{Name: name}))
	}
}

// QEMU takes a comma for the next module.
func TestMachines(t *testing.T) {
	names := make(map[string]bool)
	for _, m := range Machines {
		require.False(t, names[m.Name])
		names[m.Name] = true
		args := strings.Join(m.Args("lab.line="+m.Line), "\n")
		require.Contains(t, args, " lab.line="+m.Line+",dom0.img")
		found, err := Find(m.Name)
		require.NoError(t, err)
		require.Same(t, m, found)
	}
	_, err := Find("none")
	require.ErrorContains(t, err, "lab list")
}
