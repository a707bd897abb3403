package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// places tells where in the file each value stands.
type places map[string]unstable.Position

// of finds a key's place, or that of the nearest table around it.
func (p places) of(key string) unstable.Position {
	for {
		if at, ok := p[key]; ok {
			return at
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return unstable.Position{}
		}
		key = key[:i]
	}
}

// locate walks the file once more, which the decoder has already found to be good TOML.
func locate(data []byte) places {
	var p unstable.Parser
	p.Reset(data)
	found := make(places)
	counts := make(map[string]int)
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			name, at := keyOf(&p, e)
			if e.Kind == unstable.ArrayTable {
				counts[name]++
				name = fmt.Sprintf("%s[%d]", name, counts[name]-1)
			}
			found[name] = at
			prefix = name + "."
		case unstable.KeyValue:
			found.value(&p, prefix, e)
		}
	}
	return found
}

func (f places) value(p *unstable.Parser, prefix string, kv *unstable.Node) {
	name, at := keyOf(p, kv)
	f[prefix+name] = at
	f.inside(p, prefix+name, kv.Value())
}

func (f places) inside(p *unstable.Parser, name string, v *unstable.Node) {
	children := v.Children()
	switch v.Kind {
	case unstable.InlineTable:
		for children.Next() {
			f.value(p, name+".", children.Node())
		}
	case unstable.Array:
		for i := 0; children.Next(); i++ {
			n := children.Node()
			if n.Raw.Length > 0 {
				f[fmt.Sprintf("%s[%d]", name, i)] = p.Shape(n.Raw).Start
			}
			f.inside(p, fmt.Sprintf("%s[%d]", name, i), n)
		}
	}
}

// keyOf joins a dotted key and says where it begins.
func keyOf(p *unstable.Parser, n *unstable.Node) (string, unstable.Position) {
	var parts []string
	var at unstable.Position
	for it := n.Key(); it.Next(); {
		k := it.Node()
		if len(parts) == 0 {
			at = p.Shape(k.Raw).Start
		}
		parts = append(parts, string(k.Data))
	}
	return strings.Join(parts, "."), at
}
