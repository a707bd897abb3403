//go:build unix

package main

import (
	"log/slog"
	"syscall"

	"github.com/xentropyd/xentropyd/internal/cli"
)

// execve becomes another program, which gets the limits that this one was
// started with.
func execve(path string, argv, env []string) error {
	if err := cli.Soften(); err != nil {
		slog.Warn("the other program starts without core dumps", "error", err)
	}
	return syscall.Exec(path, argv, env)
}
