package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds what is read of a configuration file, in bytes.
const maxFile = 1 << 20

// Error is what is wrong with a configuration file, and where. Line and Column
// count from 1 and are 0 where there is no place to point at, such as for a key
// that is missing.
type Error struct {
	File         string
	Line, Column int
	Text         string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// Load reads a file over the defaults given. What is wrong with its content is
// reported by *[Error], the first fault first and all of them joined.
func Load(path string, over Config) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data, over)
}

// Parse is Load on bytes; file is their name in errors, and a path that the
// configuration may name nowhere.
func Parse(file string, data []byte, over Config) (Config, error) {
	if len(data) > maxFile {
		return Config{}, &Error{File: file, Text: fmt.Sprintf("more than %d bytes", maxFile)}
	}
	d := toml.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	values := write(over)
	if err := d.Decode(values.Addr().Interface()); err != nil {
		return Config{}, decodeError(file, err)
	}
	c, unread := read(values, over)
	own, err := filepath.Abs(file)
	if err != nil {
		own = "" // of a directory that is gone: nothing to compare with
	}
	problems := c.check(own, unread)
	if len(problems) == 0 {
		return c, nil
	}
	places := locate(data)
	var all []*Error
	for _, p := range problems {
		line, column := places.of(p.Key)
		if line == 0 && p.other != "" {
			line, column = places.of(p.other)
		}
		all = append(all, &Error{file, line, column, p.Error()})
	}
	slices.SortStableFunc(all, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var joined []error
	for _, e := range all {
		joined = append(joined, e)
	}
	return Config{}, errors.Join(joined...)
}

// decodeError says in the file's terms what the decoder says in Go's.
func decodeError(file string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for i := range strict.Errors {
			e := &strict.Errors[i]
			line, column := e.Position()
			all = append(all, &Error{file, line, column, unknownKey(e.Key())})
		}
		return errors.Join(all...)
	}
	e, ok := errors.AsType[*toml.DecodeError](err)
	if !ok {
		return &Error{File: file, Text: strings.TrimPrefix(err.Error(), "toml: ")}
	}
	line, column := e.Position()
	text := strings.TrimPrefix(e.Error(), "toml: ")
	if want := wanted(e.Key()); want != "" && !strings.Contains(text, "already") {
		text = strings.Join(e.Key(), ".") + ": want " + want
	}
	return &Error{file, line, column, text}
}
