package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Kernel reads a kernel, or Xen. What is packed is unpacked to the ELF file
// that it holds, once here instead of at each boot in an emulated machine; one
// that is packed in a way unknown here, or not at all, stays as it is. As
// Linux's scripts/extract-vmlinux does, it looks for the packed part by its
// first bytes.
func Kernel(ctx context.Context, file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the kernel: %w", err)
	}
	for magic, unpack := range map[string]func(context.Context, io.Reader) ([]byte, error){
		"\x1f\x8b\x08": gunzip,
		"\xfd7zXZ\x00": unxz,
	} {
		for rest, found := b, true; found; {
			_, rest, found = bytes.Cut(rest, []byte(magic))
			elf, err := unpack(ctx, io.MultiReader(strings.NewReader(magic), bytes.NewReader(rest)))
			if err == nil && bytes.HasPrefix(elf, []byte("\x7fELF")) {
				return elf, nil
			}
		}
	}
	return b, nil
}

func gunzip(_ context.Context, r io.Reader) ([]byte, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return io.ReadAll(z)
}

// unxz leaves alone what follows the stream: the size of the unpacked kernel.
func unxz(ctx context.Context, r io.Reader) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "xz", "--decompress", "--stdout", "--single-stream")
	cmd.Stdin = r
	return cmd.Output()
}
