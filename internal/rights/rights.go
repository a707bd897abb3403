// Package rights says who may do what, by credentials that the kernel vouches
// for. [Parse] reads a list of the configuration.
//
// An entry is a user ("anna" or "1000"), a group ("@wheel" or "@50"), or "*"
// for everybody. Root and the user of this process are in every list.
package rights

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// Everybody is the entry for all whom nothing else keeps out.
const Everybody = "*"

// List is who has a right. The zero List is root and the user of this process.
type List struct {
	everybody     bool
	users, groups []uint32
}

// Parse looks the names up. A number is taken as it is; a name must be known to
// this machine. The error is of the first bad entry, and says which one that
// is.
func Parse(entries []string) (List, error) {
	var l List
	for _, e := range entries {
		if err := l.add(e); err != nil {
			return List{}, err
		}
	}
	return l, nil
}

// Check says what is wrong with an entry.
func Check(entry string) error { return new(List).add(entry) }

func (l *List) add(entry string) error {
	name, isGroup := strings.CutPrefix(entry, "@")
	switch {
	case entry == Everybody:
		l.everybody = true
		return nil
	case name == "":
		return fmt.Errorf("%q; want a user, a group as \"@wheel\", or \"*\" for everybody", entry)
	case isGroup:
		id, err := number(name, groupNumber)
		l.groups = append(l.groups, id)
		return err
	}
	id, err := number(name, userNumber)
	l.users = append(l.users, id)
	return err
}

// noID is -1, which no user or group has: setuid(2) takes it for "leave as it
// is".
const noID = 1<<32 - 1

func number(name string, lookup func(string) (string, error)) (uint32, error) {
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		if name, err = lookup(name); err != nil {
			return 0, err
		}
		n, err = strconv.ParseUint(name, 10, 32)
	}
	if err != nil || n == noID {
		return 0, fmt.Errorf("%q is no number of a user or a group", name)
	}
	return uint32(n), nil
}

func userNumber(name string) (string, error) {
	u, err := user.Lookup(name)
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		return "", fmt.Errorf("this machine has no user %q; one whom only a directory service knows is named by number",
			name)
	}
	if err != nil {
		return "", fmt.Errorf("look up the user %q: %w", name, err)
	}
	return u.Uid, nil
}

func groupNumber(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if _, unknown := errors.AsType[user.UnknownGroupError](err); unknown {
		return "", fmt.Errorf("this machine has no group %q; one that only a directory service knows "+
			"is named by number", name)
	}
	if err != nil {
		return "", fmt.Errorf("look up the group %q: %w", name, err)
	}
	return g.Gid, nil
}

// Allows says whether this user, a member of these groups, has the right.
func (l List) Allows(uid uint32, gids []uint32) bool {
	return l.everybody || Own(uid) || slices.Contains(l.users, uid) ||
		slices.ContainsFunc(l.groups, func(g uint32) bool { return slices.Contains(gids, g) })
}

// Everybody says whether all have the right.
func (l List) Everybody() bool { return l.everybody }

// Own says whether this is root or the user of this process, who may do
// everything.
func Own(uid uint32) bool { return uid == 0 || int64(uid) == int64(os.Geteuid()) }
