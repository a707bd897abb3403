package main

import (
	"fmt"
	"os"
	"os/exec"
)

// peerEnv is set in a peer process, to its role.
const peerEnv = "XENTROPYD_BENCH_PEER"

// spawn starts this program again in a role; it is killed at the end of the
// group.
func (s *setup) spawn(role string, env []string, files ...*os.File) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), peerEnv+"="+role), env...)
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start peer %q: %w", role, err)
	}
	s.defer_(func() { cmd.Process.Kill(); cmd.Wait() })
	return nil
}
