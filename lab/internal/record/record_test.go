package record

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadWhatWasAppended(t *testing.T) {
	want := []Record{{1, -2, 3, "abc"}, {4, 5, 6, "! host: gone away"}}
	var b []byte
	for _, r := range want {
		b = Append(b, r)
	}
	got, err := Read(bytes.NewReader(append(b, "7 8 9 not who"...)))
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = Read(strings.NewReader("1 2\n"))
	require.ErrorContains(t, err, "line 1")
	_, err = Read(strings.NewReader("1 x 3 v\n"))
	require.ErrorContains(t, err, `"x"`)
}

func TestSplit(t *testing.T) {
	const s = 1e9
	a, b, over, c := Record{0, 100, 1, "a"}, Record{100, 0, 2, "b"}, Record{0, 5 * s, 3, "over"}, Record{5 * s, 5*s + 100, 4, "c"}
	for name, v := range map[string]struct{ list, before, across, after []Record }{
		"none":            {nil, nil, nil, nil},
		"never restored":  {[]Record{a, b}, []Record{a, b}, nil, nil},
		"between":         {[]Record{a, b, c, c}, []Record{a, b}, nil, []Record{c, c}},
		"while one":       {[]Record{a, b, over, c}, []Record{a, b}, []Record{over}, []Record{c}},
		"nothing since":   {[]Record{a, over}, []Record{a}, []Record{over}, nil},
		"restored before": {[]Record{a, c, {9 * s, 9 * s, 5, "d"}}, []Record{a, c}, nil, []Record{{9 * s, 9 * s, 5, "d"}}},
	} {
		before, across, after := Split(v.list)
		require.Equal(t, []int{len(v.before), len(v.across), len(v.after)}, []int{len(before), len(across), len(after)}, name)
		for i, r := range append(append(append([]Record(nil), before...), across...), after...) {
			require.Equal(t, v.list[i], r, name)
		}
	}
}
