//go:build goexperiment.runtimesecret

package fortuna

import "runtime/secret"

// protect runs f, which handles keys, so that the runtime erases the registers,
// stack and heap it used.
func protect(f func()) { secret.Do(f) }
