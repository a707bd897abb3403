package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadWhatWasWritten(t *testing.T) {
	want := []record{{1, -2, "abc"}, {4, 5, "! host: gone away"}}
	got, err := readRecords(string(want[0].line()) + string(want[1].line()) + "7 8 not who")
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = readRecords("1\n")
	require.ErrorContains(t, err, "line 1")
	_, err = readRecords("1 x v\n")
	require.ErrorContains(t, err, `"x"`)
}

func TestSplit(t *testing.T) {
	const s = 1e9
	a, b, over, c, d := record{0, 100, "a"}, record{100, 0, "b"}, record{0, 5 * s, "over"},
		record{5 * s, 5*s + 100, "c"}, record{9 * s, 9 * s, "d"}
	for name, v := range map[string]struct{ list, before, across, after []record }{
		"none":            {nil, nil, nil, nil},
		"never restored":  {[]record{a, b}, []record{a, b}, nil, nil},
		"between":         {[]record{a, b, c, c}, []record{a, b}, nil, []record{c, c}},
		"while one":       {[]record{a, b, over, c}, []record{a, b}, []record{over}, []record{c}},
		"nothing since":   {[]record{a, over}, []record{a}, []record{over}, nil},
		"restored before": {[]record{a, c, d}, []record{a, c}, nil, []record{d}},
	} {
		before, across, after := split(v.list)
		for want, got := range map[*[]record][]record{&v.before: before, &v.across: across, &v.after: after} {
			require.ElementsMatch(t, *want, got, name)
		}
	}
}
