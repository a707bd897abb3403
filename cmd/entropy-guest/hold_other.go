//go:build !linux

package main

// There is no Xen here.
func isHolder([]string) bool { return false }
func hold()                  {}
func prepareXen()            {}
func leaveXen()              {}
func endUsedUp(error)        {}
