package discovery

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/xentropyd/xentropyd/internal/glob"
	"github.com/xentropyd/xentropyd/xenstore"
)

// parseDomID reads the name of a node below /local/domain. Only what xenstored
// itself would write counts.
func parseDomID(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n > xenstore.MaxDomID || strconv.FormatUint(n, 10) != s {
		return 0, false
	}
	return uint16(n), true
}

// parseUUID reads the node vm, /vm/<UUID>, and gives the UUID in small letters,
// or nothing.
func parseUUID(vm string) string {
	s, ok := strings.CutPrefix(vm, "/vm/")
	if !ok || len(s) != 36 {
		return ""
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return ""
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return ""
		}
	}
	return strings.ToLower(s)
}

// maxName is how much of a name is shown, bytes.
const maxName = 128

// printable makes a name fit for a terminal and a log.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
	for len(name) > maxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// identity is who a domain is, by what the toolstack wrote.
type identity struct {
	domid uint16
	uuid  string // small letters, or empty
	name  string // printable, or empty
}

// id is what the guest keeps over a reboot.
func (i identity) id() string {
	if i.uuid != "" {
		return "domain " + i.uuid
	}
	return i.domain()
}

func (i identity) domain() string { return "domain " + strconv.Itoa(int(i.domid)) }

// allowed applies the lists.
func (i identity) allowed(allow, deny []string) bool {
	return !i.among(deny) && (len(allow) == 0 || i.among(allow))
}

func (i identity) among(patterns []string) bool {
	for _, p := range patterns {
		if glob.Match(p, i.name) || i.uuid != "" && glob.Match(strings.ToLower(p), i.uuid) {
			return true
		}
	}
	return false
}
