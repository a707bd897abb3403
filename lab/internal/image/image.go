package image

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"
)

// Image is an initramfs in the making: paths and what they hold. Names have no leading slash, parents are made as needed.
type Image struct {
	entries map[string]func() (cpio.Record, error)
}

// New makes an empty image.
func New() *Image { return &Image{entries: make(map[string]func() (cpio.Record, error))} }

func (im *Image) put(name string, record func() (cpio.Record, error)) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return
	}
	im.Dir(path.Dir(name))
	im.entries[name] = func() (cpio.Record, error) {
		r, err := record()
		r.Name = name
		return r, err
	}
}

// Dir adds a directory.
func (im *Image) Dir(names ...string) {
	for _, name := range names {
		clean := strings.TrimPrefix(path.Clean("/"+name), "/")
		if clean == "" {
			continue
		}
		if _, ok := im.entries[clean]; !ok {
			im.put(clean, func() (cpio.Record, error) { return cpio.Directory(clean, 0o755), nil })
		}
	}
}

// Bytes adds a file with a content.
func (im *Image) Bytes(name string, content []byte, perm uint64) {
	im.put(name, func() (cpio.Record, error) { return cpio.StaticFile(name, string(content), perm), nil })
}

// File adds a copy of a file of the host's; it is read when the image is written.
func (im *Image) File(name, from string, perm uint64) {
	im.put(name, func() (cpio.Record, error) {
		b, err := os.ReadFile(from)
		if err != nil {
			return cpio.Record{}, fmt.Errorf("put %s into the image: %w", name, err)
		}
		return cpio.StaticRecord(b, cpio.Info{Mode: cpio.S_IFREG | perm}), nil
	})
}

// Link adds a symbolic link.
func (im *Image) Link(name, target string) {
	im.put(name, func() (cpio.Record, error) { return cpio.Symlink(name, target), nil })
}

// Device adds a character device.
func (im *Image) Device(name string, perm, major, minor uint64) {
	im.put(name, func() (cpio.Record, error) { return cpio.CharDev(name, perm, major, minor), nil })
}

// Write writes the image as a newc archive.
func (im *Image) Write(w io.Writer) error {
	names := make([]string, 0, len(im.entries))
	for name := range im.entries {
		names = append(names, name)
	}
	slices.Sort(names) // parents before children, and the same archive each time
	records := cpio.Newc.Writer(w)
	for _, name := range names {
		r, err := im.entries[name]()
		if err != nil {
			return err
		}
		if err := records.WriteRecord(r); err != nil {
			return fmt.Errorf("write %s into the image: %w", name, err)
		}
	}
	if err := cpio.WriteTrailer(records); err != nil {
		return fmt.Errorf("end the image: %w", err)
	}
	return nil
}

// Pack is the archive as it is.
func (im *Image) Pack() ([]byte, error) {
	var b bytes.Buffer
	err := im.Write(&b)
	return b.Bytes(), err
}

// Gzip is the archive compressed a little: an emulated machine reads less, and unpacks fast.
func (im *Image) Gzip() ([]byte, error) {
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := im.Write(zip); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("end the image: %w", err)
	}
	return b.Bytes(), nil
}
