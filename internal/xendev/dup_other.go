//go:build !linux

package xendev

import "os"

// Duplicate is for Linux alone.
func (e *Evtchn) Duplicate() (*os.File, error) { return nil, ErrUnsupported }

// Duplicate is for Linux alone.
func (d *device) Duplicate() (*os.File, error) { return nil, ErrUnsupported }
