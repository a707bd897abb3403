// Package glob matches names against patterns that an administrator wrote: * is
// for anything, ? for one character, [a-z] for a range. A slash is a character
// like any other.
package glob

import (
	"fmt"
	"path"
	"strings"
)

// noSlash takes from the slash its part in path.Match.
var noSlash = strings.NewReplacer("/", "\x00")

// Match says whether all of name matches.
func Match(pattern, name string) bool {
	ok, err := path.Match(noSlash.Replace(pattern), noSlash.Replace(name))
	return err == nil && ok
}

// Good says whether a pattern is one.
func Good(pattern string) bool {
	_, err := path.Match(noSlash.Replace(pattern), "")
	return err == nil && pattern != ""
}

// Bad says what is wrong with a pattern that is not good.
func Bad(pattern string) string {
	return fmt.Sprintf("%q is not a pattern; * stands for anything, ? for one character, [a-z] for a range", pattern)
}
