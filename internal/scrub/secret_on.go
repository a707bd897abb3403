//go:build goexperiment.runtimesecret

package scrub

import "runtime/secret"

// Do runs f, which handles secrets, so that the runtime erases the registers,
// stack and heap it used.
func Do(f func()) { secret.Do(f) }
