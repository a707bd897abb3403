//go:build !unix

package main

import (
	"errors"
	"runtime"
)

func execve(string, []string, []string) error {
	return errors.New("--exec needs Unix, this is " + runtime.GOOS)
}
