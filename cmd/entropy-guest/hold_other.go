//go:build !linux

package main

// There is no Xen here.
func isHolder([]string) bool { return false }
func hold()                  {}
func prepare()               {}
func leave()                 {}
func endUsedUp(error)        {}
