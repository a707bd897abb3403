//go:build lab && linux

package lab

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/debian"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// What the environment may set.
var (
	// patience is the factor by which scenarios lengthen the times that they
	// assert, for a machine with other work.
	patience = 1.0
	// restores is how often TestRestores restores its guest.
	restores = 50.0
	// logs is where logs go, by default a new directory in the cache.
	logs string
)

// sessions are the machines, by the names of their kinds.
var sessions = make(map[string]*xen.Session)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range sessions {
		s.Stop()
	}
	if len(sessions) > 0 {
		progress("logs in %s", logs)
	}
	os.Exit(code)
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "lab: "+format+"\n", args...) }

// images fetches, compiles and packs once, and reads the settings. All machines
// have one architecture.
var images = sync.OnceValues(func() (string, error) {
	// What runs inside is compiled from the whole tree. go test sees a test
	// read it, and takes no result from its cache that is older. The same goes
	// for the environment.
	_ = filepath.WalkDir("..", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		return nil
	})
	for name, to := range map[string]*float64{"PATIENCE": &patience, "RESTORES": &restores} {
		text := os.Getenv("XENTROPYD_LAB_" + name)
		if _, err := fmt.Sscan(text, to); text != "" && (err != nil || *to <= 0) {
			return "", fmt.Errorf("XENTROPYD_LAB_%s=%q: set it to a number greater than 0", name, text)
		}
	}
	cache, err := debian.OpenCache()
	if err != nil {
		return "", err
	}
	if logs = os.Getenv("XENTROPYD_LAB_LOGS"); logs == "" {
		logs = cache.Path("logs", time.Now().Format("20060102-150405"))
	}
	if logs, err = filepath.Abs(logs); err != nil {
		return "", err
	}
	return xen.Prepare(context.Background(), cache, xen.Machines[0], false)
})

// short runs a scenario of the short set on each kind of machine, as the
// subtests xenstored and oxenstored. The machine is booted if it is not up yet.
// What the scenario leaves behind is removed after it.
func short(t *testing.T, scenario func(*testing.T, *xen.Dom0)) { on(t, true, xen.Machines, scenario) }

// long is short for a scenario that is not in the short set.
func long(t *testing.T, scenario func(*testing.T, *xen.Dom0)) { on(t, false, xen.Machines, scenario) }

// once is long for a scenario that the first kind of machine is enough for.
func once(t *testing.T, scenario func(*testing.T, *xen.Dom0)) {
	on(t, false, xen.Machines[:1], scenario)
}

func on(t *testing.T, isShort bool, machines []*xen.Machine, scenario func(*testing.T, *xen.Dom0)) {
	if testing.Short() && !isShort {
		t.Skip("not in the short set: run without -short")
	}
	for _, m := range machines {
		t.Run(m.Name, func(t *testing.T) {
			files, err := images()
			require.NoError(t, err)
			s := sessions[m.Name]
			if s == nil {
				s = &xen.Session{Machine: m, Images: files, Logs: filepath.Join(logs, m.Name), Log: progress}
				sessions[m.Name] = s
			}
			d, err := s.Dom0(t.Context())
			require.NoError(t, err)
			name, _, _ := strings.Cut(strings.TrimPrefix(t.Name(), "Test"), "/")
			t.Cleanup(func() { // after those of the scenario
				require.NoError(t, s.Tidy(context.WithoutCancel(t.Context()), name))
			})
			scenario(t, d)
		})
	}
}
