package snapshot

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page is a VMClock that a file plays.
type page struct {
	t    *testing.T
	f    *os.File
	path string
}

func newPage(t *testing.T) *page {
	path := filepath.Join(t.TempDir(), "vmclock0")
	f, err := os.Create(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	require.NoError(t, f.Truncate(vmClockPage))
	p := &page{t, f, path}
	p.put32(offMagic, vmClockMagic)
	p.put32(offSize, vmClockPage)
	p.put64(offDisruption, 5)
	p.put64(offFlags, flagGeneration)
	p.put64(offGeneration, 7)
	return p
}

func (p *page) put32(at int64, v uint32) { p.put(at, binary.LittleEndian.AppendUint32(nil, v)) }
func (p *page) put64(at int64, v uint64) { p.put(at, binary.LittleEndian.AppendUint64(nil, v)) }
func (p *page) put(at int64, b []byte) {
	_, err := p.f.WriteAt(b, at)
	require.NoError(p.t, err)
}

func (p *page) detector() *Detector {
	d := New(Options{Distance: func() int64 { return 0 }, VMClock: p.path})
	p.t.Cleanup(func() { assert.NoError(p.t, d.Close()) })
	return d
}

func TestVMClockWords(t *testing.T) {
	for name, change := range map[string]func(p *page){
		"generation":           func(p *page) { p.put64(offGeneration, 8) },
		"its upper half alone": func(p *page) { p.put64(offGeneration, 7|1<<63) },
		"disruption":           func(p *page) { p.put64(offDisruption, 6) },
		"flag gone":            func(p *page) { p.put64(offFlags, 0) },
	} {
		p := newPage(t)
		d := p.detector()
		require.True(t, d.HasVMClock(), name)
		first := d.Generation()
		assert.Equal(t, first, d.Generation(), name)
		change(p)
		second := d.Generation()
		assert.NotEqual(t, first, second, name)
		assert.Equal(t, second, d.Generation(), name)
	}
}

func TestVMClockWithoutGeneration(t *testing.T) {
	p := newPage(t)
	p.put64(offFlags, ^uint64(flagGeneration))
	d := p.detector()
	assert.False(t, d.HasVMClock())
	first := d.Generation()
	p.put64(offGeneration, 99) // says nothing: the flag is not set
	assert.Equal(t, first, d.Generation())
	p.put64(offDisruption, 99)
	assert.NotEqual(t, first, d.Generation())
}

func TestVMClockOfEarlierVersion(t *testing.T) {
	p := newPage(t)
	p.put32(offSize, offGeneration) // one field short
	d := p.detector()
	assert.False(t, d.HasVMClock())
	first := d.Generation()
	p.put64(offGeneration, 99)
	assert.Equal(t, first, d.Generation())
}

func TestNoVMClock(t *testing.T) {
	for name, spoil := range map[string]func(p *page){
		"magic": func(p *page) { p.put32(offMagic, vmClockMagic+1) },
		"size":  func(p *page) { p.put32(offSize, offFlags+7) },
	} {
		p := newPage(t)
		spoil(p)
		assert.Nil(t, p.detector().clock, name)
	}
}

// TestThisMachine has nothing to compare with: nobody restores the machine now,
// or sets its clock.
func TestThisMachine(t *testing.T) {
	d := New(Options{VMClock: "/nonexistent"})
	first := d.Generation()
	for range 100000 {
		d.Generation()
	}
	if n := d.Generation() - first; n > 3 {
		t.Errorf("%d restores seen in 100000 calls", n)
	}
}
