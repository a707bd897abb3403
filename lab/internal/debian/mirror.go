package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// MirrorVariable is the environment variable that names a mirror where the
// machine's own configuration has none.
const MirrorVariable = "XENTROPYD_LAB_MIRROR"

// Release is the Debian release that the lab runs: Xen 4.17, Linux 6.1.
const Release = "bookworm"

// mirror finds a Debian mirror in the machine's own apt configuration.
func mirror(ctx context.Context) (string, error) {
	if m := os.Getenv(MirrorVariable); m != "" {
		return m, nil
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt-get for the machine's sources: %w", withStderr(err))
	}
	m := chooseMirror(string(out))
	if m == "" {
		return "", fmt.Errorf("no mirror of Debian %s among this machine's apt sources: set %s to the address of one",
			Release, MirrorVariable)
	}
	return m, nil
}

// chooseMirror takes the first place that has both suites: other archives name a
// suite like Debian's, but none has its updates.
func chooseMirror(targets string) string {
	for line := range strings.Lines(targets) {
		uri, suite, _ := strings.Cut(strings.TrimSpace(line), " ")
		if suite == Release+" main" && strings.Contains("\n"+targets, "\n"+uri+" "+Release+"-updates main\n") {
			return uri
		}
	}
	return ""
}
