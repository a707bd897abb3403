package image

import (
	"bytes"
	"compress/gzip"
	"fmt"
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
	if im.err != nil {
		return nil, im.err
	}
	var b bytes.Buffer
	records := cpio.Newc.Writer(&b)
	// Sorted: parents before children, and the same archive each time.
	for _, name := range slices.Sorted(maps.Keys(im.records)) {
		if err := records.WriteRecord(im.records[name]); err != nil {
			return nil, fmt.Errorf("write %s into the image: %w", name, err)
		}
	}
	if err := cpio.WriteTrailer(records); err != nil {
		return nil, fmt.Errorf("end the image: %w", err)
	}
	return b.Bytes(), nil
}

// Gzip is the archive compressed a little: an emulated machine reads less, and
// unpacks fast.
func (im *Image) Gzip() ([]byte, error) {
	plain, err := im.Pack()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err == nil {
		_, err = zip.Write(plain)
	}
	if err == nil {
		err = zip.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress the image: %w", err)
	}
	return b.Bytes(), nil
}
