package image

import (
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// Libraries adds what programs need, and what that needs in turn, from the
// tree that packages were unpacked into. Extra are libraries that are opened
// while the program runs, by their soname. All go to /lib, where any dynamic
// linker looks; the linker itself goes where the programs name it.
func (im *Image) Libraries(tree string, extra []string, programs ...string) error {
	have, err := shared(tree)
	if err != nil {
		return err
	}
	done := make(map[string]bool)
	var need func(to, by string) error
	read := func(file string) error {
		names, err := dynamic(file)
		for _, name := range names {
			if err == nil {
				err = need(name, file)
			}
		}
		return err
	}
	need = func(to, by string) error {
		if done[to] {
			return nil
		}
		done[to] = true
		from, ok := have[filepath.Base(to)]
		if !ok {
			return fmt.Errorf("%s needs %s, and no fetched package has it: add the package to the lab's list", by, to)
		}
		im.File(to, from, 0o755)
		return read(from)
	}
	for _, p := range programs {
		if err := read(p); err != nil {
			return err
		}
	}
	for _, soname := range extra {
		if err := need("/lib/"+soname, "the lab"); err != nil {
			return err
		}
	}
	return nil
}

// shared maps file names to shared libraries; symbolic links are followed by
// opening them.
func shared(tree string) (map[string]string, error) {
	have := make(map[string]string)
	for _, dir := range []string{"lib", "lib64", "usr/lib"} {
		err := filepath.WalkDir(filepath.Join(tree, dir), func(p string, e fs.DirEntry, err error) error {
			switch {
			case e == nil || e.IsDir() && e.Name() == "modules":
				return fs.SkipDir
			case err != nil || e.IsDir():
				return err
			case strings.Contains(e.Name(), ".so") && have[e.Name()] == "":
				have[e.Name()] = p
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for libraries in %s: %w", tree, err)
		}
	}
	return have, nil
}

// dynamic reads what an ELF file names: the libraries that it needs, and the
// dynamic linker that starts it, as paths in the image.
func dynamic(file string) (paths []string, err error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			paths = append(paths, strings.TrimRight(string(b), "\x00"))
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	for _, soname := range needed {
		paths = append(paths, "/lib/"+soname)
	}
	return paths, nil
}
