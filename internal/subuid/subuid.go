// Package subuid says to which user a user number of a user namespace belongs:
// /etc/subuid gives ordinary users ranges of numbers for their containers
// (subuid(5)), so one of them can come as tens of thousands of users.
package subuid

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Path is the file.
const Path = "/etc/subuid"

const (
	maxFile   = 1 << 20     // bytes that are read
	maxRanges = 1 << 14     // that are kept
	maxNames  = 1 << 10     // that are looked up
	staleTime = time.Minute // until the file is looked at again
)

var system = table{path: Path}

// Owner is the user in whose range uid is. It is false if uid is in nobody's
// range: then it is a user of its own. It is safe for concurrent use, and reads
// the file at most once a minute.
func Owner(uid uint32) (owner uint32, ok bool) { return system.owner(uid) }

// table is what one such file says.
type table struct {
	path string

	mu     sync.Mutex
	looked time.Time
	stat   fs.FileInfo // what was read
	ranges []span      // by their first number; none reaches into the next
}

// span is a range of numbers: from first to last, both in it.
type span struct{ first, last, owner uint32 }

func (t *table) owner(uid uint32) (owner uint32, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); t.looked.IsZero() || now.Sub(t.looked) >= staleTime {
		t.looked = now
		t.load()
	}
	i, found := slices.BinarySearchFunc(t.ranges, uid,
		func(r span, uid uint32) int { return cmp.Compare(r.first, uid) })
	if !found {
		i--
	}
	if i < 0 || uid > t.ranges[i].last {
		return 0, false
	}
	return t.ranges[i].owner, true
}

// load reads the file if it has changed. One that cannot be read says nothing
// new.
func (t *table) load() {
	stat, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.stat, t.ranges = nil, nil
		return
	case err != nil || !stat.Mode().IsRegular():
		return
	case t.stat != nil && os.SameFile(stat, t.stat) && stat.ModTime().Equal(t.stat.ModTime()) &&
		stat.Size() == t.stat.Size():
		return
	}
	f, err := os.Open(t.path)
	if err != nil {
		return
	}
	defer f.Close()
	t.stat, t.ranges = stat, parse(f, userID)
}

// parse takes what it understands: lines of NAME-OR-NUMBER:FIRST:COUNT. Where
// two ranges overlap, the one that begins first counts.
func parse(r io.Reader, userID func(string) (uint32, error)) []span {
	var all []span
	names := make(map[string]uint32)
	lines := bufio.NewScanner(io.LimitReader(r, maxFile))
	for lines.Scan() && len(all) < maxRanges {
		name, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		first, count, ok := strings.Cut(rest, ":")
		from, err := strconv.ParseUint(first, 10, 32)
		n, err2 := strconv.ParseUint(count, 10, 32)
		if !ok || err != nil || err2 != nil || n == 0 || from+n > 1<<32 || strings.HasPrefix(name, "#") {
			continue
		}
		owner, known := names[name]
		if !known {
			if len(names) >= maxNames {
				continue
			}
			if owner, err = userID(name); err != nil {
				continue
			}
			names[name] = owner
		}
		all = append(all, span{uint32(from), uint32(from + n - 1), owner})
	}
	slices.SortStableFunc(all, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	next := uint64(0) // number that is in no range so far
	kept := all[:0]
	for _, s := range all {
		if uint64(s.last) < next {
			continue
		}
		s.first = uint32(max(uint64(s.first), next))
		next = uint64(s.last) + 1
		kept = append(kept, s)
	}
	return kept
}

// userID is the number of a user: what looks like one is one, as for
// newuidmap(1).
func userID(name string) (uint32, error) {
	n, err := strconv.ParseUint(name, 10, 32)
	if err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("look up a user with sub-uids: %w", err)
	}
	n, err = strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}
