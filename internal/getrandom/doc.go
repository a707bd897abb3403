// Package getrandom asks the Linux kernel for random bytes and does not wait
// for it.
//
// GRND_NONBLOCK keeps getrandom(2) from waiting for the kernel's seed, but not
// from waiting for whoever stands before the kernel: under a seccomp filter
// that notifies a supervisor (SECCOMP_RET_USER_NOTIF, seccomp(2)), or under
// ptrace(2), a call may never return.
package getrandom
