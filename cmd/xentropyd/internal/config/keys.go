package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/xentropyd/xentropyd/transport/all"
)

// field finds the type that a key has, and the table that the search ended in.
func field(key []string) (found reflect.Type, table reflect.Type, depth int) {
	table = fileType()
	for i, name := range key {
		f, ok := lookup(table, name)
		if !ok {
			return nil, table, i
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		if i == len(key)-1 {
			return f, table, i
		}
		if f.Kind() == reflect.Slice {
			f = f.Elem()
		}
		if f.Kind() != reflect.Struct || f == reflect.TypeFor[duration]() {
			return nil, table, i
		}
		table = f
	}
	return nil, table, 0
}

func lookup(table reflect.Type, name string) (reflect.Type, bool) {
	for f := range table.Fields() {
		if f.Tag.Get("toml") == name {
			return f.Type, true
		}
	}
	return nil, false
}

// unknownKey says what stands where the key stands.
func unknownKey(key []string) string {
	_, table, depth := field(key)
	var names []string
	for f := range table.Fields() {
		names = append(names, f.Tag.Get("toml"))
	}
	where := "at the top"
	if depth > 0 {
		where = "in [" + strings.Join(key[:depth], ".") + "]"
		if t, _, _ := field(key[:depth]); t.Kind() == reflect.Slice {
			where = "in [[" + strings.Join(key[:depth], ".") + "]]"
		}
	}
	return fmt.Sprintf("unknown key %q; known %s: %s", strings.Join(key, "."), where, strings.Join(names, ", "))
}

// wanted says what type a key wants, "" if there is no such key.
func wanted(key []string) string {
	t, _, _ := field(key)
	if t == nil {
		return ""
	}
	if t == reflect.TypeFor[duration]() {
		return wantDuration
	}
	if t == reflect.TypeFor[Paths]() {
		return "a path in quotes, or a list of them"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string in quotes"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Struct:
		return "a table, [" + strings.Join(key, ".") + "]"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "tables, each [[" + strings.Join(key, ".") + "]]"
		}
		return "a list of strings"
	}
	return ""
}

// Differences are the keys whose values differ, such as "limits.sessions", in
// the order of [Config], then those of the carriers.
func Differences(a, b Config) []string {
	keys := differences("", reflect.ValueOf(a), reflect.ValueOf(b))
	for _, c := range all.Carriers {
		if v, w := a.Tables[c.Scheme], b.Tables[c.Scheme]; v != nil && w != nil {
			keys = append(keys, differences(c.Scheme, reflect.ValueOf(v).Elem(), reflect.ValueOf(w).Elem())...)
		}
	}
	return keys
}

func differences(table string, a, b reflect.Value) (keys []string) {
	for _, f := range fileFields(a.Type()) {
		v, w, key := a.FieldByName(f.Name), b.FieldByName(f.Name), join(table, f.Tag.Get("toml"))
		switch {
		case v.Kind() == reflect.Struct:
			keys = append(keys, differences(key, v, w)...)
		case !reflect.DeepEqual(v.Interface(), w.Interface()):
			keys = append(keys, key)
		}
	}
	return keys
}
