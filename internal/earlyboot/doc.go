// Package earlyboot makes a machine usable for entropy-guest before anybody
// else has: in an initramfs, as its first process.
//
// [Mount] mounts what a bare system has not mounted, and [Load] loads kernel
// modules:
//
//	mounts, err := earlyboot.Mount()
//	defer mounts.Undo()
//	err = earlyboot.Load("", "xen-evtchn", "xen-gntalloc")
//
// Both leave alone what is there already. [Init] tells such a process from the
// first one of a container, and [Xen] says whether this is a Xen guest. On
// systems other than Linux errors wrap [ErrUnsupported].
package earlyboot

import "errors"

// ErrUnsupported is wrapped by every error on other systems than Linux.
var ErrUnsupported = errors.New("needs Linux")
