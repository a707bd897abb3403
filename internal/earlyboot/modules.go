package earlyboot

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// moduleEndings are how a module's file may end, and whether the kernel has to
// unpack it.
var moduleEndings = []struct {
	ending string
	packed bool
}{{".ko", false}, {".ko.xz", true}, {".ko.zst", true}, {".ko.gz", true}}

// Load loads kernel modules by name, and first what modules.dep says that they
// need. dir is where to look, also in directories below; "" is /lib/modules/ of
// the running kernel. A module that is loaded already or part of the kernel is
// no error. Without CAP_SYS_MODULE the error is fs.ErrPermission, for a module
// that is not found fs.ErrNotExist.
func Load(dir string, names ...string) error {
	if dir == "" {
		release, err := kernelRelease()
		if err != nil {
			return fmt.Errorf("find the kernel's modules: %w", err)
		}
		dir = filepath.Join("/lib/modules", release)
	}
	return load(dir, insertModule, names)
}

func load(dir string, insert func(path string, packed bool) error, names []string) error {
	var all error
	for _, name := range names {
		if err := loadOne(dir, insert, name); err != nil {
			all = errors.Join(all, fmt.Errorf("load kernel module %s: %w", name, err))
		}
	}
	return all
}

func loadOne(dir string, insert func(path string, packed bool) error, name string) error {
	if builtin(dir, name) {
		return nil
	}
	path, err := findModule(dir, name)
	if err != nil {
		return err
	}
	needs, err := needed(dir, path)
	if err != nil {
		return err
	}
	for _, p := range append(needs, path) {
		if err := insert(p, packed(p)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// moduleName is a module's name by its file: the kernel takes - and _ for the
// same.
func moduleName(path string) string {
	base := filepath.Base(path)
	for _, e := range moduleEndings {
		if name, found := strings.CutSuffix(base, e.ending); found {
			return strings.ReplaceAll(name, "-", "_")
		}
	}
	return ""
}

func packed(path string) bool {
	for _, e := range moduleEndings {
		if strings.HasSuffix(path, e.ending) {
			return e.packed
		}
	}
	return false
}

func findModule(dir, name string) (found string, err error) {
	want := strings.ReplaceAll(name, "-", "_")
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case moduleName(path) == want:
			found = path
			return fs.SkipAll
		}
		return nil
	})
	if err == nil && found == "" {
		err = fmt.Errorf("not below %s: %w", dir, fs.ErrNotExist)
	}
	return found, err
}

// eachLine reads a file of depmod(8), which need not be there.
func eachLine(path string, f func(line string) (more bool)) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !f(lines.Text()) {
			return nil
		}
	}
	return lines.Err()
}

func builtin(dir, name string) (is bool) {
	want := strings.ReplaceAll(name, "-", "_")
	_ = eachLine(filepath.Join(dir, "modules.builtin"), func(line string) bool {
		is = moduleName(line) == want
		return !is
	})
	return is
}

// needed lists what modules.dep(5) says that a module needs, in the order of
// loading.
func needed(dir, path string) (list []string, err error) {
	err = eachLine(filepath.Join(dir, "modules.dep"), func(line string) bool {
		module, needs, ok := strings.Cut(line, ":")
		if !ok || moduleName(module) != moduleName(path) {
			return true
		}
		for _, n := range strings.Fields(needs) {
			list = append([]string{filepath.Join(dir, n)}, list...) // written the other way round
		}
		return false
	})
	return list, err
}
