package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// record is one value and when it came: the distance of the wall clock from the
// monotonic one in nanoseconds, before and after, which is constant until a
// domain is restored.
type record struct {
	Before, After int64
	Value         string // a hash of the value, or a note
}

// note begins the Value of a record that has none: a read that failed.
const note = "!"

// hash makes a Value of bytes that are nobody's business.
func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// line is a record in a file.
func (r record) line() []byte {
	return fmt.Appendf(nil, "%d %d %s\n", r.Before, r.After, strings.ReplaceAll(r.Value, "\n", " "))
}

// readRecords reads lines of records. A last one that is not whole is left out.
func readRecords(text string) (list []record, err error) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		switch {
		case !strings.HasSuffix(line, "\n"):
			return list, nil
		case len(f) != 3:
			return list, fmt.Errorf("line %d of the records has %d fields: %q", len(list)+1, len(f), line)
		}
		before, err1 := strconv.ParseInt(f[0], 10, 64)
		after, err2 := strconv.ParseInt(f[1], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return list, fmt.Errorf("line %d of the records: %w", len(list)+1, err)
		}
		list = append(list, record{before, after, f[2]})
	}
	return list, nil
}

// jump is the least change of the clocks' distance that is a restore, in
// nanoseconds: over the error of reading two clocks one after the other, under
// the time that a save and restore take.
const jump = 100e6

// split divides records at the last restore: before it, across it (begun before
// and ended after, one at most), and after it. Without a restore all is before.
func split(list []record) (before, across, after []record) {
	at := len(list)
	for i := len(list) - 1; i >= 0 && !apart(list[i].Before, list[len(list)-1].After); i-- {
		at = i
	}
	if at == 0 { // never restored
		return list, nil, nil
	}
	from := at
	if apart(list[at-1].Before, list[at-1].After) {
		from--
	}
	return list[:from], list[from:at], list[at:]
}

func apart(a, b int64) bool { return max(a-b, b-a) > jump }
