package demo

import "encoding/binary"

// blocks knows every block that any guest read, by its hash.
type blocks struct {
	seen     map[uint64]struct{}
	compared int
	repeated int
}

func (b *blocks) add(hashes []byte) {
	if b.seen == nil {
		b.seen = make(map[uint64]struct{}, 1<<19)
	}
	for len(hashes) >= hashBytes {
		h := binary.LittleEndian.Uint64(hashes)
		hashes = hashes[hashBytes:]
		b.compared++
		if _, ok := b.seen[h]; ok {
			b.repeated++
		}
		b.seen[h] = struct{}{}
	}
}
