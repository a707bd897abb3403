// Package snapshot gives programs a number that changes when the machine that
// they run on was restored from a saved state, so that the copies of one
// machine do not go on with the same random state.
//
// A guest.Guest asks [Counter] at each read. It serves others as well: what was
// made at another number must not be used.
//
// A call costs two readings of the clock through the vDSO (some 50 ns where the
// kernel can read its clocksource in user space, else two system calls) and,
// with a VMClock, three loads. Where Xen emulates the time stamp counter
// (tsc_mode in xl.cfg(5): a host without an invariant one, a guest that moved
// to another frequency) each reading is a trap into Xen, and costs
// microseconds.
//
// # What it sees
//
// Clocks, on Linux: the distance between CLOCK_REALTIME and CLOCK_MONOTONIC. It
// is constant to the nanosecond while the machine runs, also while NTP slews,
// because slewing changes the rate of both. When a machine was suspended, the
// kernel adds the time that it was away to the first and not to the second
// (timekeeping_resume, kernel/time/timekeeping.c). A PV or PVH guest of Xen
// that is saved, migrated, checkpointed or cloned goes through that with its
// processes frozen, and again before the first of them runs (do_suspend,
// drivers/xen/manage.c): the first reading after a restore shows it. So does a
// machine that wakes from sleep, and one whose clock was set, for which a new
// generation is harmless.
//
// VMClock, where the hypervisor has one (/dev/vmclock0, linux/vmclock-abi.h;
// the process must be able to read it): the generation counter, which changes
// at each restore from a snapshot, and the disruption marker, which changes at
// a migration too.
//
// # What it does not see
//
//   - A restore by a hypervisor that does not let the guest's kernel know,
//     without VMClock: a snapshot of QEMU, Firecracker or VirtualBox, an HVM
//     guest without PV drivers. Their guests' clocks go on as if nothing had
//     been.
//   - A restore after which the hypervisor's wall clock shows no more than the
//     guest's showed when it was saved, plus [Tolerance]: it was set back, or
//     the guest's clock ran ahead of it by longer than the guest was away. The
//     kernel levels out a difference of up to two seconds, so this can happen
//     to a guest that runs ahead of its host and is away for less. Xenstore's
//     watch and the host's new generation come after a restore in any case, but
//     not before the first read.
//   - A restore between the call and the use of what was made before: Fortuna
//     asks again at the end of each read, and what was handed out by then is
//     the caller's.
//   - Anything on systems other than Linux, where the two clocks are not bound
//     to each other: the number changes by [Detector.Bump] alone.
package snapshot
