package domain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/xenstore"
)

func TestMissingDevices(t *testing.T) {
	only := func(there ...string) func(string) (fs.FileInfo, error) {
		return func(path string) (fs.FileInfo, error) {
			for _, p := range there {
				if p == path {
					return nil, nil
				}
			}
			return nil, fs.ErrNotExist
		}
	}
	base := errors.New("x")
	assert.ErrorContains(t, explain(base, missing(only())), "no Xen guest")
	assert.ErrorContains(t, explain(base, missing(only(xenstore.DevicePath))), "modprobe -a xen-evtchn xen-gntalloc")
	err := explain(base, missing(only(xenstore.DevicePath, xendev.EvtchnPath)))
	assert.ErrorIs(t, err, base)
	assert.True(t, strings.HasSuffix(err.Error(), "modprobe -a xen-gntalloc"), err)
	all := missing(only(xenstore.DevicePath, xendev.EvtchnPath, xendev.GntallocPath))
	assert.Empty(t, all)
	assert.Equal(t, base, explain(base, all))
}

func TestGuest(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"nothing": {nil, false},
		"kvm":     {map[string]string{"/sys/hypervisor/type": "kvm\n"}, false},
		"guest": {map[string]string{
			"/sys/hypervisor/type": "xen\n", "/proc/xen/capabilities": "",
			"/sys/hypervisor/start_flags/initdomain": "0\n",
		}, true},
		"bare guest": {map[string]string{"/sys/hypervisor/type": "xen\n"}, true},
		"dom0": {map[string]string{
			"/sys/hypervisor/type":   "xen\n",
			"/proc/xen/capabilities": "control_d\n",
		}, false},
		"dom0 by flag": {map[string]string{
			"/sys/hypervisor/type":                   "xen\n",
			"/sys/hypervisor/start_flags/initdomain": "1\n",
		}, false},
	} {
		root := t.TempDir()
		for path, text := range c.files {
			require.NoError(t, os.MkdirAll(filepath.Dir(root+path), 0o755))
			require.NoError(t, os.WriteFile(root+path, []byte(text), 0o644))
		}
		assert.Equal(t, c.want, guest(root), name)
	}
}
