// Package record is what a program in a guest writes down of the values that it got, so that the lab can tell which of them two copies of the
// guest have in common, and which came after the copying.
package record

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Record is one value and when it came: the distance of the wall clock from the monotonic one in nanoseconds, before and after, which
// is constant until a domain is restored; and the wall clock afterwards.
type Record struct {
	Before, After int64
	Wall          int64  // nanoseconds since 1970
	Value         string // a hash of the value, or a note
}

// Note begins the Value of a record that has none: a read that failed.
const Note = "!"

// Hash makes a Value of bytes that are nobody's business.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// Append appends a record's line.
func Append(b []byte, r Record) []byte {
	return fmt.Appendf(b, "%d %d %d %s\n", r.Before, r.After, r.Wall, strings.ReplaceAll(r.Value, "\n", " "))
}

// Read reads what Append wrote. A last line that is not whole is left out.
func Read(in io.Reader) (list []Record, err error) {
	s := bufio.NewReader(in)
	for {
		line, err := s.ReadString('\n')
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		var r Record
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(f) != 4 {
			return list, fmt.Errorf("line %d of the records has %d fields: %q", len(list)+1, len(f), line)
		}
		for i, to := range []*int64{&r.Before, &r.After, &r.Wall} {
			if *to, err = strconv.ParseInt(f[i], 10, 64); err != nil {
				return list, fmt.Errorf("line %d of the records: %w", len(list)+1, err)
			}
		}
		r.Value = f[3]
		list = append(list, r)
	}
}

// jump is the least change of the clocks' distance that is a restore, in nanoseconds: over the error of reading two clocks one after
// the other, under the time that a save and restore take.
const jump = 100e6

// Split divides records at the last restore: before it, across it (begun before and ended after, one at most), and after it. Without a restore
// all is before.
func Split(list []Record) (before, across, after []Record) {
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

// Values are those of records that have one.
func Values(list []Record) (all []string) {
	for _, r := range list {
		if !strings.HasPrefix(r.Value, Note) {
			all = append(all, r.Value)
		}
	}
	return all
}
