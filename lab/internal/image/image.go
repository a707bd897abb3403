package image

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"

	"github.com/u-root/u-root/pkg/cpio"
)

// Image is an initramfs in the making.
type Image struct {
	records map[string]cpio.Record
	err     error // of the first file that could not be read
}

// New makes an empty image.
func New() *Image { return &Image{records: make(map[string]cpio.Record)} }

// Add adds records. Their parents are made as needed.
func (im *Image) Add(records ...cpio.Record) {
	for _, r := range records {
		r.Name = cpio.Normalize(r.Name)
		im.records[r.Name] = r
		for dir := path.Dir(r.Name); dir != "."; dir = path.Dir(dir) {
			if _, ok := im.records[dir]; !ok {
				im.records[dir] = cpio.Directory(dir, 0o755)
			}
		}
	}
}

// File adds a copy of a file of the host's.
func (im *Image) File(name, from string, perm uint64) {
	b, err := os.ReadFile(from)
	if err != nil && im.err == nil {
		im.err = fmt.Errorf("put %s into the image: %w", name, err)
	}
	im.Add(cpio.StaticRecord(b, cpio.Info{Name: name, Mode: cpio.S_IFREG | perm}))
}

// Pack is the image as a newc archive.
func (im *Image) Pack() ([]byte, error) {
	var b bytes.Buffer
	err := im.write(&b)
	return b.Bytes(), err
}

// Gzip is the archive compressed a little: an emulated machine reads less, and
// unpacks fast.
func (im *Image) Gzip() ([]byte, error) {
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := im.write(zip); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("end the image: %w", err)
	}
	return b.Bytes(), nil
}

func (im *Image) write(w io.Writer) error {
	if im.err != nil {
		return im.err
	}
	records := cpio.Newc.Writer(w)
	// Sorted: parents before children, and the same archive each time.
	for _, name := range slices.Sorted(maps.Keys(im.records)) {
		if err := records.WriteRecord(im.records[name]); err != nil {
			return fmt.Errorf("write %s into the image: %w", name, err)
		}
	}
	if err := cpio.WriteTrailer(records); err != nil {
		return fmt.Errorf("end the image: %w", err)
	}
	return nil
}
