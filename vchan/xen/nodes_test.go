package xen

import (
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/xenstore"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		ref, port string
		want      Published
		bad       string // the node at fault
	}{
		{"8", "3", Published{8, 3}, ""},
		{"4294967295", "131071", Published{1<<32 - 1, 1<<17 - 1}, ""},
		{"0008", "1", Published{8, 1}, ""},
		{"4294967296", "3", Published{}, nodeRing},
		{"99999999999999999999", "3", Published{}, nodeRing},
		{"8", "131072", Published{}, nodePort},
		{"8", "0", Published{}, nodePort},
		{"0", "3", Published{}, nodeRing},
		{"", "3", Published{}, nodeRing},
		{"8", "", Published{}, nodePort},
		{"-8", "3", Published{}, nodeRing},
		{"+8", "3", Published{}, nodeRing},
		{" 8", "3", Published{}, nodeRing},
		{"8\n", "3", Published{}, nodeRing},
		{"8\x00", "3", Published{}, nodeRing},
		{"0x8", "3", Published{}, nodeRing},
		{"8", "3.", Published{}, nodePort},
		{"8", "٣", Published{}, nodePort},
		{"00000000008", "3", Published{}, nodeRing},
	} {
		got, err := parse("/p", c.ref, c.port)
		require.Equal(t, c.want, got, "%+v", c)
		if c.bad == "" {
			require.NoError(t, err, "%+v", c)
			continue
		}
		var e *xenstore.NodeError
		require.ErrorAs(t, err, &e, "%+v", c)
		require.Equal(t, "/p/"+c.bad, e.Path)
		require.NotContains(t, err.Error(), "\x00")
	}
}

func TestPath(t *testing.T) {
	p, err := Path(7, 0, "entropy")
	require.NoError(t, err)
	require.Equal(t, "/local/domain/7/data/vchan/0/entropy", p)
	for _, port := range []string{"", "a.b", "a/b", "..", "a b", "é"} {
		_, err := Path(7, 0, port)
		require.ErrorIs(t, err, xenstore.ErrInvalid, port)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"8", "", "0", "4294967296", "-1", "131072", "8 ", "1e3"} {
		f.Add(s, "3")
		f.Add("8", s)
	}
	f.Fuzz(func(t *testing.T, ref, port string) {
		n, err := parse("/p", ref, port)
		if err != nil {
			var e *xenstore.NodeError
			if n != (Published{}) || !errors.As(err, &e) || len(e.Value) > 32 {
				t.Fatal(n, err)
			}
			return
		}
		// What is taken means to strconv what it meant to us.
		r, err1 := strconv.ParseUint(ref, 10, 32)
		p, err2 := strconv.ParseUint(port, 10, 17)
		if err1 != nil || err2 != nil || r == 0 || p == 0 || n != (Published{uint32(r), uint32(p)}) {
			t.Fatal(ref, port, n)
		}
	})
}
