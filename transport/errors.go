package transport

import "errors"

// What a caller decides on, whatever the carrier.
var (
	// ErrAddress is wrapped by every error about the form of an address.
	ErrAddress = errors.New("not a channel address")

	// ErrBusy is wrapped by the error of a dial when another process of this
	// guest has the channel.
	ErrBusy = errors.New("another process uses it")

	// ErrUsedUp is wrapped by the error of a dial when this process can dial no
	// more while it lives. It must be started again.
	ErrUsedUp = errors.New("the process can dial no more: start it again")

	// ErrHostChanged is wrapped by the errors of a Conn whose host's daemon was
	// started again.
	ErrHostChanged = errors.New("the host's daemon was restarted")

	// ErrNotHere is wrapped by the error of Carrier.Find where this machine is
	// none that the carrier could find a host from.
	ErrNotHere = errors.New("not on this machine")

	// ErrUnavailable is wrapped by the error of Listen where what the carrier
	// needs of this machine is missing.
	ErrUnavailable = errors.New("guests cannot be reached from here")

	// ErrRestored is wrapped by the errors of a Conn whose machine was saved
	// and restored, migrated, or is a copy: what was in its memory may be in
	// another one's as well. It has a method Restored() bool.
	ErrRestored error = restored{}
)

// restored is for package guest, which begins a new generation then.
type restored struct{}

func (restored) Error() string  { return "this machine was restored from a saved state" }
func (restored) Restored() bool { return true }
