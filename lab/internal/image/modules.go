package image

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Modules finds kernel modules and those that they depend on below a directory,
// in the order of loading. A package has no modules.dep (that is made when it
// is installed): the modules' own .modinfo sections say the same.
func Modules(dir string, names ...string) ([]string, error) {
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(p), ".ko"); ok {
			files[canonical(name)] = p
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for kernel modules: %w", err)
	}
	var list []string
	done := make(map[string]bool)
	var add func(name string) error
	add = func(name string) error {
		name = canonical(name)
		if done[name] {
			return nil
		}
		done[name] = true
		file, ok := files[name]
		if !ok {
			return fmt.Errorf("no kernel module %s below %s", name, dir)
		}
		depends, err := moduleDepends(file)
		if err != nil {
			return err
		}
		for _, d := range depends {
			if err := add(d); err != nil {
				return fmt.Errorf("for module %s: %w", name, err)
			}
		}
		list = append(list, file)
		return nil
	}
	for _, n := range names {
		if err := add(n); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// canonical: the kernel takes - and _ for the same.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

func moduleDepends(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read kernel module %s: %w", file, err)
	}
	defer f.Close()
	var b []byte
	err = errors.New("no .modinfo section")
	if s := f.Section(".modinfo"); s != nil {
		b, err = s.Data()
	}
	if err != nil {
		return nil, fmt.Errorf("read kernel module %s: %w", file, err)
	}
	for field := range strings.SplitSeq(string(b), "\x00") {
		if d, ok := strings.CutPrefix(field, "depends="); ok && d != "" {
			return strings.Split(d, ","), nil
		}
	}
	return nil, nil
}
