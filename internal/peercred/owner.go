package peercred

import "github.com/xentropyd/xentropyd/internal/subuid"

// Owner is whom what a user does counts for: the one to whom the number was
// given for containers (subuid(5)), else the user itself.
func Owner(uid uint32) uint32 {
	if owner, ok := subuid.Owner(uid); ok {
		return owner
	}
	return uid
}
