// Command hostile is what root in a hostile guest runs against xentropyd: its own program on /dev/xen and xenstore. Each subcommand is one
// attack, which goes on for a given time and then prints what it did:
//
//	hostile flood --for 15s
//
// It speaks no vchan of the library's: it has its own page, its own indices and its own idea of when to send an event. What it breaks of the
// own domain it leaves broken; the lab throws the guest away.
package main
