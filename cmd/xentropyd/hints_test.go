package main

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/cli"
)

func TestHints(t *testing.T) {
	for want, err := range map[string]error{
		"start it with xentropyd run": hintForClient(fmt.Errorf("ask: %w", control.ErrNotRunning)),
		"kill -CONT":                  hintForClient(fmt.Errorf("ask: %w within 10s", control.ErrNoAnswer)),
		"read-only": hintForStart(fmt.Errorf("open control socket: bind the socket /x: %w",
			syscall.EROFS)),
		"run as root": hintForStart(fmt.Errorf("open seed file /x: %w", syscall.EACCES)),
	} {
		assert.Contains(t, cli.Hint(err), want)
	}
}
