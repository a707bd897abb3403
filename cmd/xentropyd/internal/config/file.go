package config

import (
	"encoding"
	"fmt"
	"reflect"
	"time"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// duration is a time.Duration as it stands in a file: "1m30s"
// (time.ParseDuration).
type duration struct {
	value time.Duration
	text  string // what was written
	bad   bool   // it is no duration
}

// UnmarshalText never fails: the decoder would not say where the text stands.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration{value: v, text: string(text), bad: err != nil}
	return nil
}

// wantDuration is what a duration wants to be.
const wantDuration = `a duration in quotes, such as "1m30s"`

// fileType is the type of a file: a Config in which each time.Duration is a
// duration, and that has one more table for each carrier with a table of its
// own, in a field that tableField names.
func fileType() reflect.Type {
	fields := fileFields(reflect.TypeFor[Config]())
	for i, c := range all.Carriers {
		if c.Config != nil {
			fields = append(fields, reflect.StructField{
				Name: tableField(i), Type: inFile(reflect.TypeOf(c.Config()).Elem()),
				Tag: reflect.StructTag(fmt.Sprintf("toml:%q", c.Scheme)),
			})
		}
	}
	return reflect.StructOf(fields)
}

// tableField is the field of a carrier's table, by its place in the list.
func tableField(i int) string { return fmt.Sprintf("Carrier%d", i) }

// inFile is what a type is in a file.
func inFile(t reflect.Type) reflect.Type {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return reflect.TypeFor[duration]()
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return t
	}
	switch t.Kind() {
	case reflect.Struct:
		return reflect.StructOf(fileFields(t))
	case reflect.Slice:
		return reflect.SliceOf(inFile(t.Elem()))
	case reflect.Pointer:
		return reflect.PointerTo(inFile(t.Elem()))
	}
	return t
}

// fileFields are the fields of a struct that stand in a file: those with a name
// there.
func fileFields(t reflect.Type) (fields []reflect.StructField) {
	for f := range t.Fields() {
		if name := f.Tag.Get("toml"); f.IsExported() && name != "" && name != "-" {
			fields = append(fields, reflect.StructField{Name: f.Name, Type: inFile(f.Type), Tag: f.Tag})
		}
	}
	return fields
}

// write makes a file's value of a configuration, without its guests: those of a
// file stand alone.
func write(c Config) reflect.Value {
	c.Guests = nil
	file := reflect.New(fileType()).Elem()
	convert(file, reflect.ValueOf(c), "", nil)
	for i, carrier := range all.Carriers {
		if t := c.Tables[carrier.Scheme]; t != nil {
			convert(file.FieldByName(tableField(i)), reflect.ValueOf(t).Elem(), "", nil)
		}
	}
	return file
}

// read is the way back. A value that could not be read is left as it is in c,
// and told. Nothing of c is written to: what it points to is made anew.
func read(file reflect.Value, c Config) (_ Config, unread []Problem) {
	tell := func(key, text string) { unread = append(unread, Problem{Key: key, Text: text}) }
	convert(reflect.ValueOf(&c).Elem(), file, "", tell)
	c.Tables = make(map[string]transport.Config)
	for i, carrier := range all.Carriers {
		if carrier.Config != nil {
			t := carrier.Config()
			convert(reflect.ValueOf(t).Elem(), file.FieldByName(tableField(i)), carrier.Scheme, tell)
			c.Tables[carrier.Scheme] = t
		}
	}
	return c, unread
}

// convert copies a value to what it is in a file, or back. Fields that one of
// them lacks are left alone.
func convert(to, from reflect.Value, key string, tell func(key, text string)) {
	switch from.Type() {
	case reflect.TypeFor[time.Duration]():
		to.Set(reflect.ValueOf(duration{value: time.Duration(from.Int())}))
		return
	case reflect.TypeFor[duration]():
		d := from.Interface().(duration)
		if d.bad {
			tell(key, fmt.Sprintf("%q; want %s", d.text, wantDuration))
			return
		}
		to.SetInt(int64(d.value))
		return
	}
	switch from.Kind() {
	case reflect.Struct:
		if from.Type() == to.Type() {
			to.Set(from)
			return
		}
		for f := range from.Type().Fields() {
			if field := to.FieldByName(f.Name); field.IsValid() && f.IsExported() {
				convert(field, from.FieldByIndex(f.Index), join(key, f.Tag.Get("toml")), tell)
			}
		}
	case reflect.Slice:
		to.SetZero()
		if from.IsNil() {
			return
		}
		to.Set(reflect.MakeSlice(to.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			convert(to.Index(i), from.Index(i), fmt.Sprintf("%s[%d]", key, i), tell)
		}
	case reflect.Pointer:
		to.SetZero()
		if !from.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
			convert(to.Elem(), from.Elem(), key, tell)
		}
	default:
		to.Set(from)
	}
}
