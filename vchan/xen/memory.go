package xen

import (
	"errors"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// memory is the mapped page and rings of one channel.
type memory struct {
	page, left, right []byte
	maps              []*xendev.Mapping
}

func (m *memory) Page() []byte  { return m.page }
func (m *memory) Left() []byte  { return m.left }
func (m *memory) Right() []byte { return m.right }

// Close unmaps. The page comes last: with it goes the word to the peer.
func (m *memory) Close() error {
	var all error
	for i := len(m.maps) - 1; i >= 0; i-- {
		all = errors.Join(all, m.maps[i].Unmap())
	}
	return all
}

// layRings divides what is mapped behind each other.
func (m *memory) layRings(b []byte, o ring.Orders) {
	l := o.LeftPages() * ring.PageSize
	r := o.RightPages() * ring.PageSize
	if l > 0 {
		m.left = b[:l:l]
	}
	if r > 0 {
		m.right = b[l : l+r : l+r]
	}
}
