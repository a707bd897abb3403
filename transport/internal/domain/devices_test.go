package domain

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

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
