package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// What is used of an x86 kernel's setup header (Linux, Documentation/arch/x86/boot.rst).
const (
	setupSects    = 0x1f1 // u8: sectors of 512 bytes after the first, before the protected-mode code
	setupMagic    = 0x202 // "HdrS"
	payloadOffset = 0x248 // u32, from the protected-mode code
	payloadLength = 0x24c // u32
	setupEnd      = 0x250
)

// Kernel reads a kernel, or Xen. A gzip file, as Xen is one, or an x86 bzImage is
// unpacked to the ELF file that it holds, once here instead of at each boot in
// an emulated machine; one that is packed in a way unknown here, or another kind
// of kernel, stays as it is.
func Kernel(ctx context.Context, file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the kernel: %w", err)
	}
	payload := payload(b)
	var elf []byte
	switch {
	case bytes.HasPrefix(payload, []byte("\x1f\x8b")):
		var r io.Reader
		if r, err = gzip.NewReader(bytes.NewReader(payload)); err == nil {
			elf, err = io.ReadAll(r)
		}
	case bytes.HasPrefix(payload, []byte("\xfd7zXZ\x00")):
		// The size of the unpacked kernel follows the stream.
		cmd := exec.CommandContext(ctx, "xz", "--decompress", "--stdout", "--single-stream")
		cmd.Stdin = bytes.NewReader(payload)
		elf, err = cmd.Output()
	default:
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("unpack the kernel %s: %w", file, err)
	}
	if !bytes.HasPrefix(elf, []byte("\x7fELF")) {
		return b, nil
	}
	return elf, nil
}

// payload is the packed kernel inside a bzImage, or what is no bzImage itself.
func payload(b []byte) []byte {
	if len(b) < setupEnd || string(b[setupMagic:setupMagic+4]) != "HdrS" {
		return b
	}
	code := (int64(b[setupSects]) + 1) * 512
	begin := code + int64(binary.LittleEndian.Uint32(b[payloadOffset:]))
	end := begin + int64(binary.LittleEndian.Uint32(b[payloadLength:]))
	if begin > end || end > int64(len(b)) {
		return nil
	}
	return b[begin:end]
}
