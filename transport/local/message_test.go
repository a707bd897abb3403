package local

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestAnswerBytes(t *testing.T) {
	require.Equal(t, "vchanmfd\x03\x00\x01\x00\x02\x00\x00\x00no", string(encodeAnswer(statusRefused, "no")))
	require.Equal(t, "vchanmfd\x03\x00\x00\x00\x00\x00\x00\x00", string(encodeAnswer(statusAccepted, "")))
	status, text, err := decodeHead(encodeAnswer(statusBusy, "later")[:headSize])
	require.NoError(t, err)
	require.Equal(t, []any{uint16(statusBusy), 5}, []any{status, text})
	require.Equal(t, &RefusedError{Busy: true, Reason: "a?[2Jb"}, refusal(statusBusy, []byte("a\x1b[2Jb")))
}

// Each thing that can be wrong, alone.
func TestAnswersThatAreNone(t *testing.T) {
	good := string(encodeAnswer(statusRefused, "no")[:headSize])
	for name, bad := range map[string]string{
		"short":            good[:headSize-1],
		"long":             good + "x",
		"magic":            "Vchanmfd" + good[8:],
		"version":          good[:8] + "\x01" + good[9:],
		"status":           good[:10] + "\x03" + good[11:],
		"accepted, text":   good[:10] + "\x00" + good[11:],
		"text of 241":      good[:12] + "\xf1" + good[13:],
		"reserved, first":  good[:14] + "\x01\x00",
		"reserved, second": good[:14] + "\x00\x01",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decodeHead([]byte(bad))
			require.ErrorIs(t, err, errMessage)
		})
	}
	_, n, err := decodeHead([]byte(good[:12] + "\xf0" + good[13:]))
	require.NoError(t, err)
	require.Equal(t, textLimit, n)
}

func TestLongTextIsCutBetweenCharacters(t *testing.T) {
	for n := range 4 {
		b := encodeAnswer(statusRefused, strings.Repeat("x", n)+strings.Repeat("\u00e9\u20ac", 100))
		require.LessOrEqual(t, len(b), headSize+textLimit)
		require.Greater(t, len(b), headSize+textLimit-3)
		require.True(t, utf8.Valid(b[headSize:]))
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(encodeAnswer(statusBusy, "later"))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, rest := b[:min(len(b), headSize)], b[min(len(b), headSize):]
		status, n, err := decodeHead(head)
		if err != nil {
			return
		}
		if n > textLimit || status > statusBusy {
			t.Fatal("an answer beyond the limits was taken")
		}
		if !utf8.ValidString(refusal(status, rest).Error()) {
			t.Fatal("words that are not text")
		}
	})
}
