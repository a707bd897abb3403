// Package xendevtest is a Xen host in one process, for tests of what uses
// xendev: [New] makes it, [Domain.Process] gives the xendev.System that a
// process of one of its domains has.
//
// Grants are real shared memory: what is unmapped is gone from the address
// space, and touching it ends the test. Event channels mask, join and lose
// events as /dev/xen/evtchn does. A process can be killed (its kernel then does
// what was asked for the unmapping), a domain destroyed (nobody does anything).
package xendevtest
