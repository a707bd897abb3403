package host

import "github.com/xentropyd/xentropyd/internal/age"

// Age is how long ago something was, by the monotonic clock: setting the
// machine's clock does not change it. The zero Age is that of what never was.
// In JSON it is a number of seconds, and a field of this type has omitzero.
type Age = age.Age
