package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// keyring verifies Debian's archive, see the package debian-archive-keyring.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// apt is a private apt root for one architecture.
type apt struct {
	dir  string
	arch string
}

// newApt makes the root's files; those that are there already are written
// again.
func newApt(ctx context.Context, dir, arch string) (*apt, error) {
	if _, err := os.Stat(keyring); err != nil {
		return nil, fmt.Errorf("no keyring to verify packages with, apt-get install debian-archive-keyring: %w", err)
	}
	uri, err := mirror(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"sources", "state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("make apt's root: %w", err)
		}
	}
	for name, content := range map[string]string{
		"status": "", // nothing is installed
		"sources/lab.sources": "Types: deb\nURIs: " + uri + "\nSuites: " + Release + " " + Release + "-updates\n" +
			"Components: main\nArchitectures: " + arch + "\nSigned-By: " + keyring + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, fmt.Errorf("make apt's root: %w", err)
		}
	}
	return &apt{dir: dir, arch: arch}, nil
}

// run runs one of apt's programs with the private root, in the directory wd.
func (a *apt) run(ctx context.Context, wd, program string, args ...string) (string, error) {
	options := []string{"-q"}
	for _, o := range []string{
		"APT::Architecture=" + a.arch, "APT::Architectures=" + a.arch, "APT::Sandbox::User=root",
		"Acquire::Languages=none", "Acquire::Retries=3",
		"Dir::Etc::sourcelist=/dev/null", "Dir::Etc::sourceparts=" + a.dir + "/sources",
		"Dir::Etc::preferences=/dev/null", "Dir::Etc::preferencesparts=/dev/null",
		"Dir::State=" + a.dir + "/state", "Dir::State::status=" + a.dir + "/status", "Dir::Cache=" + a.dir + "/cache",
	} {
		options = append(options, "-o", o)
	}
	cmd := exec.CommandContext(ctx, program, append(options, args...)...)
	cmd.Dir = wd
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s (private root %s): %w", program, strings.Join(args, " "), a.dir, withStderr(err))
	}
	return string(out), nil
}

// depends is the first dependency of a package whose name begins with prefix:
// how a metapackage names what it stands for.
func (a *apt) depends(ctx context.Context, name, prefix string) (string, error) {
	out, err := a.run(ctx, a.dir, "apt-cache", "depends", name)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if d, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "+prefix); ok {
			return prefix + d, nil
		}
	}
	return "", fmt.Errorf("package %s depends on nothing named %s…", name, prefix)
}

// withStderr puts what a command complained about into its error.
func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

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

// chooseMirror takes the first place that has both suites: other archives name
// a suite like Debian's, but none has its updates.
func chooseMirror(targets string) string {
	for line := range strings.Lines(targets) {
		uri, suite, _ := strings.Cut(strings.TrimSpace(line), " ")
		if suite == Release+" main" && strings.Contains("\n"+targets, "\n"+uri+" "+Release+"-updates main\n") {
			return uri
		}
	}
	return ""
}
