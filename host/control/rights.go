package control

import (
	"context"
	"fmt"
	"net/http"

	"github.com/xentropyd/xentropyd/internal/rights"
)

// Right is something that the control API lets one do.
type Right string

// The rights. What they are called is what they are called in the daemon's
// configuration.
const (
	RightLook   Right = "look"   // status, sources, guests and metrics
	RightChange Right = "change" // a new generation
)

// Rights says who has which, beside root and the daemon's own user, who have
// both.
type Rights struct{ Look, Change rights.List }

func (r Rights) of(right Right) rights.List {
	if right == RightChange {
		return r.Change
	}
	return r.Look
}

type connKey struct{}

// withConn tells the handlers whose request it is.
func withConn(ctx context.Context, c *conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf is nil where there is none, as in a test.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// allow lets those through who have the right.
func (cfg *Config) allow(right Right, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if why := cfg.denied(right, connOf(r)); why != "" {
			answer(w, http.StatusForbidden, errorAnswer{why})
			return
		}
		next(w, r)
	}
}

// denied says why a right is not there, empty if it is.
func (cfg *Config) denied(right Right, c *conn) string {
	uid, who := uint32(unknownUser), "a user whom the kernel does not name"
	var gids []uint32
	if c != nil && c.known {
		uid, gids = c.creds.UID, append([]uint32{c.creds.GID}, c.creds.Groups...)
		who = fmt.Sprintf("uid %d", uid)
	}
	if cfg.Rights.of(right).Allows(uid, gids) {
		return ""
	}
	return fmt.Sprintf("%s has not the right %q; root and the daemon's own user have it, and who is listed as %[2]s "+
		"in [rights] of its configuration", who, string(right))
}
