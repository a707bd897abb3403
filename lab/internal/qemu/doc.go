// Package qemu runs an emulator as a child that never outlives the lab: Start
// starts one, Process.Stop ends it.
package qemu
