// Package demo runs the main job on one machine and shows it: a real daemon,
// three guests, a killed guest, a killed daemon.
//
// [Run] is the whole play, [Guest] what a guest process does in it. The guests
// are this program, started again, and the daemon is xentropyd itself; they see
// one another only through the sockets that a real daemon and real guests use.
// Nothing is left behind.
package demo
