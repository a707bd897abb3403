package age

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAgeInJSON(t *testing.T) {
	type ages struct {
		A Age `json:"a,omitzero"`
		B Age `json:"b,omitzero"`
		C Age `json:"c"`
	}
	in := ages{A: Of(1500 * time.Millisecond)}
	b, err := json.Marshal(in)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1.5,"c":null}`, string(b))
	var out ages
	require.NoError(t, json.Unmarshal(b, &out))
	require.Equal(t, in, out)
	for text, want := range map[string]time.Duration{"0": 0, "-1": 0, "1e300": 1e9 * time.Second, "-1e300": 0} {
		var a Age
		require.NoError(t, json.Unmarshal([]byte(text), &a))
		ago, ever := a.Ago()
		require.True(t, ever, text)
		require.Equal(t, want, ago, text)
	}
	require.Error(t, json.Unmarshal([]byte(`{"a":"1 s"}`), &out))
}
