// Package cputime measures the CPU time of one goroutine, and bounds it.
//
// A [Meter] counts for a goroutine between Begin and End, into a [Sum] that
// anybody may look at. Only in between is the goroutine tied to its thread, so
// it ends the count before it sleeps: a daemon with hundreds of sessions has
// hundreds of goroutines asleep, and no thread for them. A [Share] says how
// long somebody has to wait who has used more than a part of one core.
//
// On Linux it is the thread's CPU clock (CLOCK_THREAD_CPUTIME_ID,
// clock_gettime(2)), user and system time; elsewhere wall time, which is never
// less. What the runtime and the kernel do to wake a goroutine is on other
// threads, and not in it: package host adds a constant for that.
package cputime
