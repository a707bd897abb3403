package xenstore

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// Limits of the protocol, in bytes.
const (
	MaxPayload = wire.MaxPayload // of one message; a value shares it with its path and a NUL
	MaxAbsPath = wire.MaxAbsPath
	MaxRelPath = wire.MaxRelPath
)

// Special paths to watch. They say only that some domain came or went: list and
// compare.
const (
	IntroduceDomain = "@introduceDomain"
	ReleaseDomain   = "@releaseDomain"
)

// DomainPath is where the nodes of a domain live: /local/domain/<domid>.
func DomainPath(domid uint16) string {
	return "/local/domain/" + strconv.Itoa(int(domid))
}

// Join puts a path and names below it together with single slashes. Empty
// elements are left out, nothing is resolved and nothing is checked: see
// ValidatePath.
func Join(path string, names ...string) string {
	var b strings.Builder
	b.WriteString(strings.TrimRight(path, "/"))
	if b.Len() == 0 && strings.HasPrefix(path, "/") && len(names) == 0 {
		return "/"
	}
	absolute := strings.HasPrefix(path, "/")
	for _, n := range names {
		if n = strings.Trim(n, "/"); n == "" {
			continue
		}
		if b.Len() > 0 || absolute {
			b.WriteByte('/')
		}
		b.WriteString(n)
	}
	if b.Len() == 0 && absolute {
		return "/"
	}
	return b.String()
}

// Parent is the path above an absolute or relative path; "/" and single names
// have none.
func Parent(path string) (string, bool) {
	i := strings.LastIndexByte(path, '/')
	switch {
	case i < 0 || path == "/":
		return "", false
	case i == 0:
		return "/", true
	}
	return path[:i], true
}

// ValidatePath checks a path by the rules of docs/misc/xenstore.txt: letters,
// digits and - / _ @ alone, no doubled and no trailing slash, at most
// MaxAbsPath bytes, or MaxRelPath when it does not begin with a slash. The
// client itself refuses less (see Store): some daemons hold other names, and
// theirs is the last word.
func ValidatePath(path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	for i := range len(path) {
		if c := path[i]; !nameByte(c) && c != '/' && c != '@' {
			return fmt.Errorf("xenstore path %q: character %q is not allowed: %w", path, c, ErrInvalid)
		}
	}
	switch {
	case strings.Contains(path, "//"):
		return fmt.Errorf("xenstore path %q: doubled slash: %w", path, ErrInvalid)
	case path != "/" && strings.HasSuffix(path, "/"):
		return fmt.Errorf("xenstore path %q: trailing slash: %w", path, ErrInvalid)
	}
	return nil
}

// ValidPort reports whether s can name a vchan port or any other single node
// that every implementation takes: [a-zA-Z0-9_-]+ (MirageOS's vchan refuses a
// dot), at most 256 bytes.
func ValidPort(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return true
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// checkPath refuses what would break the framing or cost the connection.
func checkPath(path string) error {
	limit := MaxRelPath
	if strings.HasPrefix(path, "/") {
		limit = MaxAbsPath
	}
	switch {
	case path == "":
		return fmt.Errorf("xenstore path is empty: %w", ErrInvalid)
	case len(path) > limit:
		return fmt.Errorf("xenstore path of %d bytes is over the limit of %d: %w", len(path), limit, ErrInvalid)
	case strings.IndexByte(path, 0) >= 0:
		return fmt.Errorf("xenstore path %q holds a NUL: %w", path, ErrInvalid)
	}
	return nil
}
