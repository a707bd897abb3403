package config

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// places tells where in the file each value stands.
type places struct {
	data []byte
	at   map[string]int // offset in bytes of the key, or of an array's element
}

// of finds a key's line and column, or those of the nearest table around it.
// Both are 0 if there is none.
func (p places) of(key string) (line, column int) {
	for {
		if at, ok := p.at[key]; ok {
			before := p.data[:at]
			return 1 + bytes.Count(before, []byte("\n")), at - bytes.LastIndexByte(before, '\n')
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return 0, 0
		}
		key = key[:i]
	}
}

// locate walks the file once more, which the decoder has already found to be
// good TOML.
func locate(data []byte) places {
	found := places{data, make(map[string]int)}
	var p unstable.Parser
	p.Reset(data)
	counts := make(map[string]int)
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			name, at := keyOf(e)
			if e.Kind == unstable.ArrayTable {
				counts[name]++
				name = fmt.Sprintf("%s[%d]", name, counts[name]-1)
			}
			found.at[name] = at
			prefix = name + "."
		case unstable.KeyValue:
			found.value(prefix, e)
		}
	}
	return found
}

func (p places) value(prefix string, kv *unstable.Node) {
	name, at := keyOf(kv)
	p.at[prefix+name] = at
	p.inside(prefix+name, kv.Value())
}

func (p places) inside(name string, v *unstable.Node) {
	children := v.Children()
	switch v.Kind {
	case unstable.InlineTable:
		for children.Next() {
			p.value(name+".", children.Node())
		}
	case unstable.Array:
		for i := 0; children.Next(); i++ {
			n, element := children.Node(), fmt.Sprintf("%s[%d]", name, i)
			if n.Raw.Length > 0 {
				p.at[element] = int(n.Raw.Offset)
			}
			p.inside(element, n)
		}
	}
}

// keyOf joins a dotted key and says where it begins.
func keyOf(n *unstable.Node) (key string, at int) {
	var parts []string
	for it := n.Key(); it.Next(); {
		k := it.Node()
		if len(parts) == 0 {
			at = int(k.Raw.Offset)
		}
		parts = append(parts, strings.ToLower(string(k.Data))) // as the decoder finds them
	}
	return strings.Join(parts, "."), at
}
