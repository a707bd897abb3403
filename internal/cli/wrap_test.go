package cli

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWrap(t *testing.T) {
	wrap := func(width int, head, text string) string {
		var b bytes.Buffer
		Wrap(&b, width, head, text)
		return b.String()
	}
	assert.Equal(t, "- one two\n", wrap(9, "- ", "one two"))
	assert.Equal(t, "- one\n  two\n", wrap(8, "- ", "one two"))
	assert.Equal(t, "- one two\n", wrap(0, "- ", " one  two "))
	assert.Equal(t, "- abcdefghij\n  k\n", wrap(5, "- ", "abcdefghij k"), "a long word stays whole")
	assert.Equal(t, "- äöü ß\n", wrap(7, "- ", "äöü ß"), "columns, not bytes")
	assert.Equal(t, "-\n", wrap(5, "-", ""))
}

func TestList(t *testing.T) {
	var b bytes.Buffer
	List(&b, [][2]string{{"a", "first"}, {"long", "second\x1b thing"}})
	assert.Equal(t, "  a     first\n  long  second? thing\n", b.String())
	assert.Zero(t, Width(&b))
}
