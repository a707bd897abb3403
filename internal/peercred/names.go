package peercred

import (
	"os/user"
	"strconv"
	"sync"
	"time"
)

// names remembers the users' names for a while: to look one up is to read
// /etc/passwd, which nobody is to cause at will.
var names struct {
	mu    sync.Mutex
	known map[uint32]string
	until time.Time
}

const (
	namesTime = time.Minute
	maxNames  = 1024
)

// UserName is a user for people, and the group of all its processes.
func UserName(uid uint32) string {
	names.mu.Lock()
	defer names.mu.Unlock()
	now := time.Now()
	if now.After(names.until) || len(names.known) >= maxNames {
		names.known, names.until = make(map[uint32]string), now.Add(namesTime)
	}
	name, ok := names.known[uid]
	if !ok {
		number := strconv.FormatUint(uint64(uid), 10)
		name = "uid " + number
		if u, err := user.LookupId(number); err == nil {
			name += " (" + u.Username + ")"
		}
		names.known[uid] = name
	}
	return name
}
