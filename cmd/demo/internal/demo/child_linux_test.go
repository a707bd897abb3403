package demo

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestChildAttributes: a child that writes nothing would not notice otherwise
// that the demo was killed. That it works is tested by a kill, in package main.
func TestChildAttributes(t *testing.T) {
	a := childAttributes()
	assert.Equal(t, syscall.SIGKILL, a.Pdeathsig)
	assert.True(t, a.Setpgid, "ctrl-C is for the demo alone")
}
