package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Bytes shows a number of bytes with a binary prefix: "64 B", "1.5 KiB".
func Bytes(n uint64) string { return prefixed(float64(n), 1024, "B", "KiB", "MiB", "GiB", "TiB") }

// Rate shows bytes per second.
func Rate(perSecond float64) string {
	return prefixed(perSecond, 1000, "B/s", "kB/s", "MB/s", "GB/s")
}

// Bits shows a number of bits: "256 bits", "1.5 kbit".
func Bits(n float64) string { return prefixed(n, 1000, "bits", "kbit", "Mbit", "Gbit", "Tbit") }

func prefixed(n, base float64, units ...string) string {
	i := 0
	for n >= base && i < len(units)-1 {
		n /= base
		i++
	}
	if i == 0 || n >= 100 {
		return fmt.Sprintf("%.0f %s", n, units[i])
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

// Duration shows a time span to about two digits: "850 ms", "12 s", "3 min",
// "2.5 h", "4 d".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-max(d, -math.MaxInt64)) // the least Duration has no opposite
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.0f d", d.Hours()/24)
}

// Printable replaces what could play with a terminal: names come from guests
// and other programs.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// OrDash is Printable, with "-" for nothing.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return Printable(s)
}

// Table prints rows under a head, in columns.
func Table(w io.Writer, head []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(head, "\t"))
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	return t.Flush()
}

// JSON prints v as one indented JSON value.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
