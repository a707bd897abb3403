package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/transport"
)

// cpu shows CPU time in seconds, "-" where there was none.
func cpu(seconds float64) string {
	if seconds <= 0 {
		return "-"
	}
	return cli.Duration(time.Duration(seconds * float64(time.Second)))
}

// domainName is what a domain is called where it is no guest of ours: all that
// xl knows of it.
func domainName(d transport.Domain) string {
	name := fmt.Sprintf("domain %d", d.DomID)
	if d.Name != "" {
		name += ", " + cli.Printable(d.Name)
	}
	if d.UUID != "" {
		name += ", " + d.UUID
	}
	return name
}

// notServed says why a domain is not served, "" if it is. One that asks for
// nothing is.
func notServed(d transport.Domain) string {
	switch d.State {
	case transport.DomainDenied:
		return "denied by allow and deny in [xen] of the configuration"
	case transport.DomainNew:
		return "just found, its name is not read yet"
	}
	return ""
}

// carrierNotes says what failed on a domain's carriers.
func carrierNotes(d transport.Domain) string {
	var notes []string
	for _, c := range d.Carriers {
		if c.Failures == 0 {
			continue
		}
		how := "never connected"
		switch {
		case c.Connected:
			how = "connected now"
		case c.Connects > 0:
			how = fmt.Sprintf("connected %d times", c.Connects)
		case c.Carrier == transport.Announcement:
			how = "" // such as the announcement
		}
		note := fmt.Sprintf("%s failed %d times, last %s", c.Carrier, c.Failures, ago(c.LastFailure))
		if how != "" {
			note += ", " + how
		}
		notes = append(notes, note+": "+c.LastError)
	}
	return cli.Printable(strings.Join(notes, "; "))
}
