// Package age is how long ago something was, for what is shown to others.
package age

import (
	"encoding/json"
	"fmt"
	"time"
)

// Age is how long ago something was, by the monotonic clock: setting the
// machine's clock does not change it. The zero Age is that of what never was.
// In JSON it is a number of seconds; a field of this type is to have omitzero.
type Age struct {
	ever bool
	ago  time.Duration
}

// Of is the age of what was so long ago; less than nothing is now.
func Of(ago time.Duration) Age { return Age{true, max(0, ago)} }

// At is the age at a moment of what was at t, a time with a monotonic reading
// or the zero time.
func At(now, t time.Time) Age {
	if t.IsZero() {
		return Age{}
	}
	return Of(now.Sub(t))
}

// Ago is how long ago it was; it is false if it never was.
func (a Age) Ago() (ago time.Duration, ever bool) { return a.ago, a.ever }

// IsZero says that it never was.
func (a Age) IsZero() bool { return !a.ever }

// MarshalJSON writes seconds, null for the zero Age.
func (a Age) MarshalJSON() ([]byte, error) {
	if !a.ever {
		return []byte("null"), nil
	}
	return json.Marshal(a.ago.Seconds())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Age) UnmarshalJSON(b []byte) error {
	var seconds *float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return fmt.Errorf("read an age: %w", err)
	}
	*a = Age{}
	if seconds != nil {
		*a = Of(time.Duration(min(*seconds, maxAge) * float64(time.Second)))
	}
	return nil
}

// maxAge is more than any machine stays up, in seconds, and fits a Duration.
const maxAge = 1e9
