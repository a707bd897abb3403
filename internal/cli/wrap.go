package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Width is how many columns a terminal has, 0 if w is none: then nothing is to
// be broken.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		return 80
	}
	return width
}

// Wrap prints text behind a head, broken between words to width columns;
// further lines are indented as far as the head reaches. A width of 0 breaks
// nothing.
func Wrap(w io.Writer, width int, head, text string) {
	line, indent := head, strings.Repeat(" ", utf8.RuneCountInString(head))
	fresh := true
	for word := range strings.FieldsSeq(text) {
		if !fresh {
			if width > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
				fmt.Fprintln(w, line)
				line = indent
			} else {
				line += " "
			}
		}
		line += word
		fresh = false
	}
	fmt.Fprintln(w, line)
}

// List prints names and what there is to say of each, the texts one below the
// other.
func List(w io.Writer, items [][2]string) {
	longest := 0
	for _, i := range items {
		longest = max(longest, utf8.RuneCountInString(i[0]))
	}
	for _, i := range items {
		Wrap(w, Width(w), fmt.Sprintf("  %-*s  ", longest, Printable(i[0])), Printable(i[1]))
	}
}
