package host

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/xentropyd/xentropyd/transport"
)

// faults collects what is wrong with a configuration.
type faults []transport.Fault

func (f *faults) add(key, format string, args ...any) {
	*f = append(*f, transport.Fault{Key: key, Text: fmt.Sprintf(format, args...)})
}

// in adds what is wrong with a table.
func (f *faults) in(table string, of []transport.Fault) {
	for _, fault := range of {
		f.add(join(table, fault.Key), "%s", fault.Text)
	}
}

// join names a key of a table; an empty one is the table's own.
func join(table, key string) string {
	if key == "" {
		return table
	}
	return table + "." + key
}

// between refuses what is not from low to high. So written, it refuses NaN.
func between[T cmp.Ordered](f *faults, key string, v, low, high T) {
	if !(v >= low && v <= high) {
		f.add(key, "%v; want %v to %v", v, low, high)
	}
}

// refuse makes one error of all faults, nil of none.
func refuse(found []transport.Fault) error {
	var all []error
	for _, f := range found {
		all = append(all, errors.New(f.Key+": "+f.Text))
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("host configuration: %w", errors.Join(all...))
}
