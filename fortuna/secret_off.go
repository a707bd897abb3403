//go:build !goexperiment.runtimesecret

package fortuna

// protect runs f, which handles keys but leaves nothing on the stack. Without
// GOEXPERIMENT=runtimesecret it does nothing more.
func protect(f func()) { f() }
