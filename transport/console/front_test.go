package console

import (
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/xenstore"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		state, ref, port string
		want             Front
		bad              string // the node that is to blame
	}{
		{"1", "", "", Front{State: Initialising}, ""},
		{"0", "junk", "junk", Front{}, ""},
		{"2", "8", "3", Front{State: InitWait}, ""},
		{"3", "8", "3", Front{Initialised, 8, 3}, ""},
		{"4", "4294967295", "131071", Front{Connected, 1<<32 - 1, 1<<17 - 1}, ""},
		{"4", "4294967296", "131071", Front{}, "ring-ref"},
		{"4", "4294967295", "131072", Front{}, "port"},
		{"3", "0", "1", Front{}, "ring-ref"},
		{"3", "1", "0", Front{}, "port"},
		{"3", "", "1", Front{}, "ring-ref"},
		{"3", "1", "", Front{}, "port"},
		{"3", "-1", "1", Front{}, "ring-ref"},
		{"3", "1 ", "1", Front{}, "ring-ref"},
		{"3", "12345678901", "1", Front{}, "ring-ref"},
		{"6", "", "", Front{State: Closed}, ""},
		{"8", "", "", Front{State: 8}, ""},
		{"9", "", "", Front{}, "state"},
		{"", "", "", Front{}, "state"},
		{"+3", "", "", Front{}, "state"},
		{"\x003", "", "", Front{}, "state"},
	} {
		f, err := parse("/f", c.state, c.ref, c.port)
		if c.bad == "" {
			require.NoError(t, err, "%+v", c)
			require.Equal(t, c.want, f)
			continue
		}
		var bad *xenstore.NodeError
		require.ErrorAs(t, err, &bad, "%+v", c)
		require.Equal(t, "/f/"+c.bad, bad.Path)
		require.True(t, bad.Hostile())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("3", "8", "3")
	f.Add("4", "00000000000000000000000001", "\xff")
	f.Fuzz(func(t *testing.T, state, ref, port string) {
		got, err := parse("/f", state, ref, port)
		if err != nil {
			var bad *xenstore.NodeError
			if !errors.As(err, &bad) || len(bad.Value) > 32 {
				t.Fatalf("%v", err)
			}
			return
		}
		if got.State < 0 || got.State > lastState || got.Port > xenstore.MaxPort {
			t.Fatalf("%+v", got)
		}
		if got.Ready() {
			r, _ := strconv.ParseUint(ref, 10, 64)
			p, _ := strconv.ParseUint(port, 10, 64)
			if uint64(got.Ring) != r || uint64(got.Port) != p || r == 0 || p == 0 {
				t.Fatalf("%q %q: %+v", ref, port, got)
			}
		}
	})
}
