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
const (
	maxKeptOut = 1024                  // user numbers at once
	applyEvery = 20 * time.Millisecond // a list of a thousand takes a tenth of a millisecond to write
)

// KeepOut keeps a user out of the socket file for KeepOutTime, and says whether
// it does, or will in a moment. It does not where there are no such lists,
// where the administrator has set one, and with root and the process's own
// user, whom no list keeps out or who needs to come in.
func (f *File) KeepOut(uid uint32) bool {
	k := &f.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || uid == 0 || uid == uint32(os.Geteuid()) || len(k.out) == 0 && !f.begin() {
		return false
	}
	if _, is := k.out[uid]; !is && len(k.out) >= k.most {
		return false
	}
	k.out[uid] = time.Now().Add(KeepOutTime)
	k.fresh = append(k.fresh, uid)
	if k.apply != nil {
		return true
	}
	_ = f.write()
	if _, is := k.out[uid]; !is {
		return false
	}
	k.apply = time.AfterFunc(applyEvery, f.writeLater)
	if k.timer == nil {
		k.timer = time.AfterFunc(KeepOutTime, f.lift)
	}
	return true
}

// begin is for an empty list: the file must have none of another's. The caller
// holds the keeper's mu.
func (f *File) begin() bool {
	if f.listed() {
		return false
	}
	k := &f.keeper
	k.out, k.most, k.written = make(map[uint32]time.Time), maxKeptOut, 0
	return true
}

func (f *File) writeLater() {
	k := &f.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	k.apply = nil
	if !k.closed && len(k.fresh) > 0 && f.write() == nil {
		k.apply = time.AfterFunc(applyEvery, f.writeLater)
	}
}

// write writes the list. If the file does not bear all who have come last, some
// of them are left out, and there are to be no more than now. The caller holds
// the keeper's mu.
func (f *File) write() error {
	k := &f.keeper
	err := f.setList()
	for err != nil && len(k.fresh) > 0 {
		half := len(k.fresh) / 2
		for _, uid := range k.fresh[half:] {
			delete(k.out, uid)
		}
		k.fresh, k.most = k.fresh[:half], len(k.out)
		if len(k.out) > 0 {
			err = f.setList()
		}
	}
	k.fresh = k.fresh[:0]
	return err
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
	_ = f.write()
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

// errNotOurs is why a list is not written.
var errNotOurs = errors.New("the socket file or its list is another's")

// setList writes the list, or takes it away when nobody is out. A mode that the
// administrator has set meanwhile stays, and a list.
func (f *File) setList() error {
	k := &f.keeper
	now, err := os.Lstat(f.path)
	if err != nil || !f.ours() {
		return errNotOurs
	}
	size, err := unix.Lgetxattr(f.path, aclName, nil)
	if err != nil {
		size = 0
	}
	if size != k.written {
		clear(k.out)
		return errNotOurs
	}
	k.mode = now.Mode().Perm() // with a list, the mask is in the group's place (acl(5)), as we have it
	if len(k.out) == 0 {
		if k.written = 0; size == 0 {
			return nil
		}
		if err := unix.Lremovexattr(f.path, aclName); err != nil {
			return err
		}
		return os.Chmod(f.path, k.mode)
	}
	list := encodeACL(k.mode, slices.Collect(maps.Keys(k.out)))
	if err := unix.Lsetxattr(f.path, aclName, list, 0); err != nil {
		return err
	}
	k.written = len(list)
	return nil
}

// encodeACL denies the users what the mode gives everybody else
// (linux/posix_acl_xattr.h, linux/posix_acl.h).
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
