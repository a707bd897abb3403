package xenstore

import (
	"errors"
	"fmt"
	"io/fs"
)

// What a caller decides on. An *Error answers to these by its name, which
// errors.Is finds.
var (
	ErrNotFound     = errors.New("no such node")                     // ENOENT
	ErrExists       = errors.New("exists already")                   // EEXIST
	ErrPermission   = errors.New("permission denied")                // EACCES, EPERM
	ErrQuota        = errors.New("xenstore quota reached")           // EQUOTA, ENOSPC; E2BIG from WATCH
	ErrAgain        = errors.New("transaction conflicts")            // EAGAIN
	ErrInvalid      = errors.New("invalid argument")                 // EINVAL
	ErrTooBig       = errors.New("too big for one message")          // E2BIG
	ErrNotSupported = errors.New("not supported by this xenstored")  // ENOSYS
	ErrTxDone       = errors.New("transaction has ended already")    // ours
	ErrClosed       = errors.New("xenstore client is closed")        // ours
	ErrDisconnected = errors.New("connection to xenstored was lost") // ours; the cause is wrapped beside it
)

// Error is an error reply of xenstored.
type Error struct {
	Op   string // the request in the protocol's words, such as READ
	Path string // what it was about, or empty
	Name string // the daemon's name for the error, such as ENOENT
}

// names gives each name its meaning.
var names = map[string]error{
	"ENOENT": ErrNotFound,
	"EEXIST": ErrExists,
	"EACCES": ErrPermission,
	"EPERM":  ErrPermission,
	"EQUOTA": ErrQuota,
	"ENOSPC": ErrQuota,
	"EAGAIN": ErrAgain,
	"EINVAL": ErrInvalid,
	"E2BIG":  ErrTooBig,
	"ENOSYS": ErrNotSupported,
}

func (e *Error) meaning() error {
	// The C daemon answers E2BIG when a domain has all the watches that it may
	// have.
	if e.Name == "E2BIG" && e.Op == "WATCH" {
		return ErrQuota
	}
	return names[e.Name]
}

func (e *Error) Error() string {
	s := "xenstore " + e.Op
	if e.Path != "" {
		s += " " + e.Path
	}
	s += ": " + e.Name
	if m := e.meaning(); m != nil {
		s += ": " + m.Error()
	}
	return s
}

// Is matches the package's sentinel errors and those of io/fs.
func (e *Error) Is(target error) bool {
	m := e.meaning()
	switch {
	case m == nil:
		return false
	case target == m:
		return true
	case target == fs.ErrNotExist:
		return m == ErrNotFound
	case target == fs.ErrExist:
		return m == ErrExists
	case target == fs.ErrPermission:
		return m == ErrPermission
	}
	return false
}

// ProtocolError says where a peer broke the protocol. The connection is closed.
type ProtocolError struct {
	Place   string // which message, such as "reply 7 to READ"
	Problem string
}

func (e *ProtocolError) Error() string {
	return "xenstore protocol: " + e.Place + ": " + e.Problem
}

// disconnected wraps the cause of a lost connection.
func disconnected(cause error) error {
	if cause == nil || errors.Is(cause, ErrDisconnected) || errors.Is(cause, ErrClosed) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrDisconnected, cause)
}

// errorName reports whether s can be the name of an error: E and 1 to 31
// capitals or digits.
func errorName(s string) bool {
	if len(s) < 2 || len(s) > 32 || s[0] != 'E' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
