package scenario

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Sizes of what scenarios write into dom0's /tmp, which is memory: several times what was seen, bytes.
const (
	saveRoom  = 280 << 20 // a saved guest of the usual 256 MiB
	imageRoom = 32 << 20  // an initramfs with one program
)

// removeLimit bounds the removal of a file at the end of a test.
const removeLimit = time.Minute

// bigFile names a file below dom0's /tmp that a test is about to write. Where there is no room for it the test ends, and says what takes
// the room. When the test ends, well or not, the file is removed, be it whole, half or not there.
func bigFile(t *report.T, d *xen.Dom0, name string, room int64) string {
	path := xen.ScratchDir + "/" + name
	df, err := d.Run(t.Context(), "df", "-k", "-P", xen.ScratchDir)
	require.NoError(t, err)
	list, err := d.Run(t.Context(), "ls", "-lA", xen.ScratchDir)
	require.NoError(t, err)
	require.NoError(t, roomFor(path, room, df, list))
	t.Cleanup(func() { removeFile(t, d, path) })
	return path
}

// removeFile removes a file or a directory, also when the test's context has ended.
func removeFile(t *report.T, d *xen.Dom0, path string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), removeLimit)
	defer cancel()
	if _, err := d.Run(ctx, "rm", "-rf", path); err != nil {
		t.Errorf("remove %s in dom0: %v", path, err)
	}
}

// roomFor is an error that says what is there if a file has no room.
func roomFor(path string, room int64, df, list string) error {
	free, err := parseFree(df)
	if err == nil && free < room {
		err = fmt.Errorf("dom0's %s is full: %d MiB are free, %s may take %d; there are:\n%s", xen.ScratchDir, free>>20, path, room>>20, list)
	}
	return err
}

// parseFree reads what df -kP prints of one file system: a line of titles, and one whose fourth field is what is free, in KiB.
func parseFree(df string) (int64, error) {
	lines := strings.Split(strings.TrimSpace(df), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if len(lines) != 2 || len(fields) < 6 {
		return 0, fmt.Errorf("df printed %q", df)
	}
	kib, err := strconv.ParseInt(fields[3], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("df printed %q: %w", df, err)
	}
	return kib << 10, nil
}

// saved saves a guest into a file that goes with the test, and gives its path.
func saved(t *report.T, d *xen.Dom0, name string) string {
	file := bigFile(t, d, name+".save", saveRoom)
	require.NoError(t, d.Save(t.Context(), name, file))
	return file
}
