package demo

import (
	"fmt"
	"os"
	"path/filepath"
)

// setting is the temporary directory in which the demo plays.
type setting struct{ dir, config, control, address string }

// demoConfig is the daemon's configuration: seeds come more often than in real
// life, so that there is something to see.
const demoConfig = `listen = [%q]
control = %q
seed_file = %q

[budget]
bytes = 4096
period = "10s"

[seed]
bytes = 64
interval = "500ms"

[times]
keep_alive = "1s"
`

func newSetting() (s setting, err error) {
	parent := os.TempDir()
	if len(parent) > 60 { // a Unix socket's path has at most 107 bytes
		parent = "/tmp"
	}
	if s.dir, err = os.MkdirTemp(parent, "xentropyd-demo-"); err != nil {
		return s, fmt.Errorf("make a directory to play in: %w", err)
	}
	s.config = filepath.Join(s.dir, "xentropyd.toml")
	s.control = filepath.Join(s.dir, "control.sock")
	s.address = "local:" + filepath.Join(s.dir, "local.sock")
	text := fmt.Sprintf(demoConfig, s.address, s.control, filepath.Join(s.dir, "seed"))
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		os.RemoveAll(s.dir)
		return s, fmt.Errorf("write the daemon's configuration: %w", err)
	}
	return s, nil
}
