package transport

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A guest takes the first carrier that finds its host and is not busy.
func TestDialFound(t *testing.T) {
	missing, refused := errors.New("no device; load the module"), errors.New("refused")
	for name, c := range map[string]struct {
		xen, console, local error // of finding; nil: it is found
		dial                error // of dialling xen
		want                string
		says                error
	}{
		"the first":               {want: "xen"},
		"the first fails":         {dial: refused, says: refused},
		"the first is taken":      {dial: ErrBusy, want: "console"},
		"taken, and no other":     {dial: ErrBusy, console: missing, local: ErrNotHere, says: ErrBusy},
		"the first lacks devices": {xen: missing, want: "console"},
		"neither":                 {xen: missing, console: refused, want: "local"},
		"nothing":                 {xen: missing, console: refused, local: ErrNotHere, says: refused},
		"elsewhere":               {xen: ErrNotHere, console: ErrNotHere, want: "local"},
	} {
		carrier := func(scheme string, found, dial error) *Carrier {
			return &Carrier{
				Scheme: scheme, Waits: scheme != "local",
				Find: func(context.Context) (string, error) { return scheme, found },
				Dial: func(_ context.Context, path string) (Conn, error) {
					if dial != nil {
						return nil, dial
					}
					a, b := net.Pipe()
					_ = b.Close()
					return named{a, path}, nil
				},
			}
		}
		list := Carriers{
			carrier("xen", c.xen, c.dial), carrier("console", c.console, nil),
			carrier("local", c.local, nil),
			{Scheme: "unix"},
		}
		conn, err := list.DialFound(t.Context())
		if c.says != nil {
			require.ErrorIs(t, err, c.says, name)
			if c.xen == missing {
				require.ErrorIs(t, err, missing, "what each lacks is said")
			}
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, c.want, conn.(named).name, name)
		_ = conn.Close()
	}
	_, err := Carriers{}.DialFound(t.Context())
	assert.ErrorContains(t, err, "give its address")
}

type named struct {
	net.Conn
	name string
}

func TestFound(t *testing.T) {
	at := func(scheme string, waits bool, err error) *Carrier {
		return &Carrier{Scheme: scheme, Waits: waits, Find: func(context.Context) (string, error) { return "/p", err }}
	}
	for _, c := range []struct {
		list Carriers
		want string
		ok   bool
	}{
		{Carriers{at("xen", true, ErrNotHere), at("local", false, nil)}, "local:/p", true},
		{Carriers{at("xen", true, nil), at("local", false, nil)}, "", false},
		{Carriers{at("xen", true, errors.New("no device")), at("local", false, nil)}, "", false},
		{Carriers{{Scheme: "unix"}}, "", false},
	} {
		got, ok := c.list.Found(t.Context())
		assert.Equal(t, c.ok, ok)
		assert.Equal(t, c.want, got)
	}
}

type blaming bool

func (blaming) Error() string   { return "x" }
func (b blaming) Hostile() bool { return bool(b) }

func TestHostile(t *testing.T) {
	assert.True(t, Hostile(&net.OpError{Err: blaming(true)}))
	assert.False(t, Hostile(blaming(false)))
	assert.False(t, Hostile(errors.New("x")))
	assert.False(t, Hostile(nil))
}
