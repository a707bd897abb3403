package local

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestMessageBytes(t *testing.T) {
	require.Equal(t, "vchanmfd\x01\x00\x03\x00\x00\x00\x00\x00", string(encodeOffer()))
	require.NoError(t, checkOffer(encodeOffer()))
	require.Equal(t, "vchanmfd\x01\x00\x01\x00\x02\x00\x00\x00no", string(encodeAnswer(statusRefused, "no")))
	require.NoError(t, decodeAnswer(encodeAnswer(statusAccepted, "")))
	var re *RefusedError
	require.ErrorAs(t, decodeAnswer(encodeAnswer(statusBusy, "a\x1b[2Jb")), &re)
	require.Equal(t, RefusedError{Busy: true, Reason: "a?[2Jb"}, *re)
	require.ErrorIs(t, decodeAnswer(encodeAnswer(3, "")), errMessage)
	require.ErrorIs(t, decodeAnswer(append(encodeAnswer(1, "x"), 'y')), errMessage)
}

func TestLongTextIsCutBetweenCharacters(t *testing.T) {
	for n := range 4 {
		b := encodeAnswer(statusRefused, strings.Repeat("x", n)+strings.Repeat("\u00e9\u20ac", 100))
		require.LessOrEqual(t, len(b), headSize+textLimit)
		require.Greater(t, len(b), headSize+textLimit-3)
		require.True(t, utf8.Valid(b[headSize:]))
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(encodeOffer())
	f.Add(encodeAnswer(statusBusy, "later"))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkOffer(b) == nil && string(b) != string(encodeOffer()) {
			t.Fatal("another offer than ours was taken")
		}
		err := decodeAnswer(b)
		var re *RefusedError
		if errors.As(err, &re) && !utf8.ValidString(re.Error()) {
			t.Fatal("words that are not text")
		}
	})
}
