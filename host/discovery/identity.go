package discovery

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// firstReserved is DOMID_FIRST_RESERVED of xen.h: no domain has it or a larger number.
const firstReserved = 0x7ff0

// parseDomID reads the name of a node below /local/domain. Only what xenstored itself would write counts.
func parseDomID(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n >= firstReserved || strconv.FormatUint(n, 10) != s {
		return 0, false
	}
	return uint16(n), true
}

// parseUUID reads the node vm, /vm/<UUID>, and gives the UUID in small letters, or nothing.
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
		if match(p, i.name) || i.uuid != "" && match(strings.ToLower(p), i.uuid) {
			return true
		}
	}
	return false
}

// noSlash takes from the slash its part in path.Match.
var noSlash = strings.NewReplacer("/", "\x00")

func match(pattern, name string) bool {
	ok, err := path.Match(noSlash.Replace(pattern), noSlash.Replace(name))
	return err == nil && ok
}

// CheckPattern refuses what cannot stand in Config's Allow and Deny.
func CheckPattern(p string) error {
	if _, err := path.Match(noSlash.Replace(p), ""); err != nil || p == "" {
		return fmt.Errorf("%q is no pattern for a guest's name or UUID", p)
	}
	return nil
}
