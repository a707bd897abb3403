package unixsock

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A user who connects without end costs the host an accept each time, however
// fast it is turned away. So such a user is kept out by the kernel for a
// while: the socket file's access control list (acl(5)) denies that one user,
// whose connect then gives EACCES and costs the host nothing.
const maxKeptOut = 1024 // user numbers at once

// KeepOut keeps a user out of the socket file for KeepOutTime, and says whether
// it does. It does not where there are no such lists, where the administrator
// has set one, and with root and the process's own user, whom no list keeps
// out or who needs to come in.
func (f *File) KeepOut(uid uint32) bool {
	k := &f.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || uid == 0 || uid == uint32(os.Geteuid()) || len(k.out) >= maxKeptOut || len(k.out) == 0 && f.listed() {
		return false
	}
	if len(k.out) == 0 {
		now, err := os.Lstat(f.path)
		if err != nil {
			return false
		}
		k.out, k.mode = make(map[uint32]time.Time), now.Mode().Perm()
	}
	k.out[uid] = time.Now().Add(KeepOutTime)
	if f.apply() != nil {
		delete(k.out, uid)
		return false
	}
	if k.timer == nil {
		k.timer = time.AfterFunc(KeepOutTime, f.lift)
	}
	return true
}

// lift lets in whose time is over.
func (f *File) lift() {
	k := &f.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = nil
	if k.closed {
		return
	}
	now := time.Now()
	next := KeepOutTime
	for uid, until := range k.out {
		if left := until.Sub(now); left <= 0 {
			delete(k.out, uid)
		} else {
			next = min(next, left)
		}
	}
	_ = f.apply()
	if len(k.out) > 0 {
		k.timer = time.AfterFunc(next, f.lift)
	}
}

const aclName = "system.posix_acl_access"

// listed says whether the file has a list, which is then not ours.
func (f *File) listed() bool {
	_, err := unix.Lgetxattr(f.path, aclName, nil)
	return err == nil
}

// apply writes the list, or takes it away when nobody is out.
func (f *File) apply() error {
	if !f.ours() {
		return errors.New("the socket file is another's")
	}
	mode := f.keeper.mode
	if len(f.keeper.out) == 0 {
		if err := unix.Lremovexattr(f.path, aclName); err != nil {
			return err
		}
		return os.Chmod(f.path, mode)
	}
	uids := slices.Sorted(maps.Keys(f.keeper.out))
	return unix.Lsetxattr(f.path, aclName, encodeACL(mode, uids), 0)
}

// encodeACL denies the users what the mode gives everybody else (linux/posix_acl_xattr.h, linux/posix_acl.h).
func encodeACL(mode fs.FileMode, denied []uint32) []byte {
	const (
		version2 = 2 // POSIX_ACL_XATTR_VERSION
		userObj  = 0x01
		user     = 0x02
		groupObj = 0x04
		mask     = 0x10
		other    = 0x20
		nobody   = ^uint32(0) // ACL_UNDEFINED_ID
	)
	b := binary.LittleEndian.AppendUint32(nil, version2)
	entry := func(tag uint16, perm fs.FileMode, id uint32) {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, uint16(perm&7))
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	entry(userObj, mode>>6, nobody)
	for _, uid := range denied {
		entry(user, 0, uid)
	}
	entry(groupObj, mode>>3, nobody)
	entry(mask, mode>>3, nobody)
	entry(other, mode, nobody)
	return b
}
