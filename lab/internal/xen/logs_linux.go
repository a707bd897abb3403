package xen

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

// logEnd is how much is copied of the end of a log, in bytes: oxenstored writes
// down each request, and the line is slow.
const logEnd = 128 << 10

// SaveLogs copies the ends of dom0's logs (the guests' consoles, the
// hypervisor's, xl's) to the host, into a directory below LogDir, and removes
// them, with the older ones that were rotated away.
func (d *Dom0) SaveLogs(ctx context.Context, dir string) error {
	list, err := d.Shell(ctx, `find /var/log/xen -type f -name "*.[0-9]*" -exec rm {} + ; find /var/log/xen -type f`)
	if err != nil {
		return err
	}
	for name := range strings.Lines(list) {
		name = strings.TrimSuffix(name, "\n")
		// Daemons keep the files open, so they are emptied, not removed. The
		// agent's messages stay there: they are long, and the line is slow.
		text, err := d.Do(ctx, agent.Command{Argv: []string{
			"/bin/sh", "-c", `sed 's/@lab:.*//; /^[[:space:]]*$/d' "$0" | tail -c "$1"; : > "$0"`,
			name, strconv.Itoa(logEnd),
		}, Quiet: true})
		if err != nil {
			return err
		}
		if text == "" {
			continue
		}
		to := filepath.Join(d.LogDir, dir, filepath.Base(name))
		if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
			err = os.WriteFile(to, []byte(text), 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
