//go:build !goexperiment.runtimesecret

package fortuna

// protect runs f, which handles keys. Without GOEXPERIMENT=runtimesecret it does nothing more.
func protect(f func()) { f() }
