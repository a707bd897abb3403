package image

import (
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// Library is a shared library, or a dynamic linker, that a program needs.
type Library struct {
	Name string // the path in the image
	From string // the path on the host
}

// Libraries finds what programs need, and what that needs in turn, in the directories that packages were unpacked into. Extra are
// libraries that are opened while the program runs, by their soname. All go to /lib, where any dynamic linker looks; the linker itself
// goes where the programs name it.
func Libraries(dirs []string, extra []string, programs ...string) ([]Library, error) {
	have, err := shared(dirs)
	if err != nil {
		return nil, err
	}
	done := make(map[string]bool)
	var list []Library
	var need func(soname, by string) error
	read := func(file string) error {
		needed, linker, err := dynamic(file)
		if err != nil {
			return err
		}
		if linker != "" && !done[linker] {
			done[linker] = true
			from, ok := have[filepath.Base(linker)]
			if !ok {
				return fmt.Errorf("%s needs %s, and no fetched package has it", file, linker)
			}
			list = append(list, Library{Name: strings.TrimPrefix(linker, "/"), From: from})
		}
		for _, n := range needed {
			if err := need(n, file); err != nil {
				return err
			}
		}
		return nil
	}
	need = func(soname, by string) error {
		if done[soname] {
			return nil
		}
		done[soname] = true
		from, ok := have[soname]
		if !ok {
			return fmt.Errorf("%s needs %s, and no fetched package has it: add the package to the lab's list", by, soname)
		}
		list = append(list, Library{Name: "lib/" + soname, From: from})
		return read(from)
	}
	for _, p := range programs {
		if err := read(p); err != nil {
			return nil, err
		}
	}
	for _, n := range extra {
		if err := need(n, "the lab"); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// shared maps file names to shared libraries; symbolic links are followed by opening them.
func shared(dirs []string) (map[string]string, error) {
	have := make(map[string]string)
	for _, dir := range dirs {
		for _, sub := range []string{"lib", "lib64", "usr/lib"} {
			err := filepath.WalkDir(filepath.Join(dir, sub), func(p string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					if e == nil || e.Name() == "modules" {
						return fs.SkipDir
					}
					return err
				}
				if strings.Contains(e.Name(), ".so") {
					if _, ok := have[e.Name()]; !ok {
						have[e.Name()] = p
					}
				}
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("look for libraries in %s: %w", dir, err)
			}
		}
	}
	return have, nil
}

// dynamic reads what an ELF file names: the libraries that it needs, and the dynamic linker that starts it.
func dynamic(file string) (needed []string, linker string, err error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", file, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
			if err != nil {
				return nil, "", fmt.Errorf("read %s: %w", file, err)
			}
			linker = strings.TrimRight(string(b), "\x00")
		}
	}
	needed, err = f.ImportedLibraries()
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", file, err)
	}
	return needed, linker, nil
}
