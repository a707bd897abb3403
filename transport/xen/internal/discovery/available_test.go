package discovery

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/transport"
)

func TestAvailable(t *testing.T) {
	t.Setenv("XENSTORED_PATH", "")
	have := func(paths ...string) func(string) (fs.FileInfo, error) {
		return func(p string) (fs.FileInfo, error) {
			for _, h := range paths {
				if p == h {
					return nil, nil
				}
			}
			return nil, fs.ErrNotExist
		}
	}
	caps := func(s string) func(string) ([]byte, error) {
		return func(path string) ([]byte, error) {
			if bits, is := strings.CutPrefix(s, "features "); is != (path == features) {
				return nil, fs.ErrNotExist
			} else if is {
				return []byte(bits), nil
			}
			return []byte(s), nil
		}
	}
	const gntdev, evtchn, bus, socket = "/dev/xen/gntdev", "/dev/xen/evtchn", "/dev/xen/xenbus", "/run/xenstored/socket"
	for _, c := range []struct {
		here    []string
		caps    string
		missing []string
		host    bool
	}{
		{nil, "", []string{"gntdev (modprobe xen-gntdev)", "evtchn (modprobe xen-evtchn)", "start it"}, false},
		{[]string{evtchn, socket}, "control_d\n", []string{"modprobe xen-gntdev"}, false},
		{[]string{gntdev, socket}, "control_d\n", []string{"modprobe xen-evtchn"}, false},
		{[]string{gntdev, evtchn}, "control_d\n", []string{"xenstored"}, false},
		{[]string{gntdev, evtchn, bus}, "", nil, false}, // a guest
		{[]string{gntdev, evtchn, bus}, "control_d\n", nil, true},
		{[]string{gntdev, evtchn, bus}, "features 00002b05\n", nil, true}, // early: xenfs is not mounted
		{[]string{gntdev, evtchn, bus}, "features 000002705\n", nil, false},
		{[]string{gntdev, evtchn, bus}, "features junk", nil, false},
		{[]string{gntdev, evtchn, socket}, "", nil, true},
	} {
		err := available(have(c.here...))
		require.Equal(t, c.missing == nil, err == nil, "%v", c.here)
		for _, m := range c.missing {
			require.ErrorIs(t, err, transport.ErrUnavailable)
			require.ErrorContains(t, err, m)
		}
		require.Equal(t, c.host, isHost(have(c.here...), caps(c.caps)), "%v", c.here)
	}
}
