package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/xentropyd/xentropyd/host/control"
)

// TestMain makes this test program stand in for xentropyd when it is started
// under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"xentropyd": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"seeded": waitSeeded,
			"json":   checkJSON,
			"config": writeConfig,
			"signal": sendSignal,
			"exits":  exits,
		},
		Setup: func(e *testscript.Env) error {
			// A Unix socket's path is short, and the work directory's is not.
			dir, err := os.MkdirTemp("/tmp", "xentropyd-script-")
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(dir) })
			e.Setenv("S", dir)
			e.Setenv("XDG_RUNTIME_DIR", dir)
			e.Setenv("XDG_STATE_HOME", dir)
			return nil
		},
	})
}

// writeConfig writes $S/x.toml: sockets and seed in $S, and more lines if there
// are.
func writeConfig(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.Getenv("S")
	text := fmt.Sprintf("listen = [\"local:%s/local.sock\"]\ncontrol = \"%[1]s/control.sock\"\nseed_file = "+
		"\"%[1]s/seed\"\n", dir)
	ts.Check(os.WriteFile(dir+"/x.toml", []byte(text+strings.Join(args, "\n")+"\n"), 0o600))
}

// waitSeeded waits until the daemon at a control socket is seeded.
func waitSeeded(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s, err := control.Dial(ts.Getenv("S") + "/control.sock").Status(context.Background())
		if err == nil && s.Entropy.Seeded {
			return
		}
	}
	ts.Fatalf("the daemon was not seeded in time")
}

// checkJSON checks that stdout of the last command is one JSON object with the
// keys given.
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var v map[string]any
	ts.Check(d.Decode(&v))
	if d.More() {
		ts.Fatalf("more than one value")
	}
	for _, key := range args {
		if _, ok := v[key]; !ok {
			ts.Fatalf("no key %q", key)
		}
	}
}

// sendSignal sends TERM, HUP or INT to every program in the background that has
// not ended.
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	sig, ok := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT}[args[0]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[0])
	}
	for _, c := range ts.BackgroundCmds() {
		if err := c.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			ts.Check(err)
		}
	}
}
