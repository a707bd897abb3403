package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/age"
	"github.com/xentropyd/xentropyd/transport"
)

// TestStatusShowsDomains: a Xen guest's UUID is cut, and its carrier is said.
func TestStatusShowsDomains(t *testing.T) {
	var out strings.Builder
	require.NoError(t, printStatus(&out, control.Status{
		Listen: []string{"xen:"},
		Server: host.Status{Guests: []host.GuestStatus{
			{
				ID: "domain 3b241101-e2bb-4255-8caf-4136c566a962", Name: "web", Carrier: "vchan", Connected: true,
				Seeded: true, Violations: 2, LastSeed: age.Of(0), BudgetLeft: 960, BudgetBytes: 1024, CPU: 0.0421,
			},
			{ID: "domain 7", Name: "odd", Carrier: "console", Connected: true},
			{ID: "local:0/17", Name: "init", Carrier: "local", Connected: true},
		}},
	}))
	assert.Contains(t, out.String(), "domain 3b241101…")
	assert.NotContains(t, out.String(), "e2bb")
	assert.Contains(t, out.String(), "seeded, vchan")
	assert.Contains(t, out.String(), "waiting, console")
	assert.Regexp(t, `(?m) CPU *$`, out.String())
	assert.Regexp(t, `(?m)^domain 3b241101… .* 42 ms *$`, out.String())
	assert.Regexp(t, `(?m)^local:0/17 .* waiting +0 `, out.String())
}

// TestStatusShowsWhoIsNotServed: denied domains and carriers that fail are
// named under the table, with what xl knows of them; a domain that just asks
// for nothing is not.
func TestStatusShowsWhoIsNotServed(t *testing.T) {
	s := control.Status{Listen: []string{"xen:"}, Domains: []transport.Domain{
		{
			DomID: 3, Name: "quiet", State: transport.DomainServed,
			Carriers: []transport.CarrierStatus{{Carrier: "vchan", Connects: 2}},
		},
		{DomID: 7, UUID: "3b241101-e2bb-4255-8caf-4136c566a962", Name: "db", State: transport.DomainDenied},
		{DomID: 9, State: transport.DomainNew},
		{DomID: 11, Name: "odd", State: transport.DomainServed, Carriers: []transport.CarrierStatus{
			{Carrier: "console", Connected: true, Connects: 1},
			{Carrier: "vchan", Failures: 12, LastError: "junk \x1b[31m", LastFailure: age.Of(5 * time.Second)},
		}},
	}}
	var out strings.Builder
	require.NoError(t, printStatus(&out, s))
	assert.NotContains(t, out.String(), "GUEST", "a table of nobody")
	assert.NotContains(t, out.String(), "quiet")
	assert.Regexp(t, `(?s)\nnot served:\n +domain 7, db, 3b241101-e2bb-4255-8caf-4136c566a962 +denied by allow and deny.*\n +domain 9 +just found`, out.String())
	assert.Regexp(t, `(?s)\nnotes:\n +domain 11, odd +vchan failed 12 times, last 5 s ago, never connected:\s+junk \?\[31m`, out.String())
	assert.NotContains(t, out.String(), "console failed")

	s.Domains = []transport.Domain{}
	out.Reset()
	require.NoError(t, printStatus(&out, s))
	assert.NotContains(t, out.String(), "not served")
	assert.NotContains(t, out.String(), "notes")
}

func TestCPUTimeIsShort(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "-", 0.0000123: "12 µs", 0.0123: "12 ms",
		12.3: "12 s", 7200: "2.0 h",
	} {
		assert.Equal(t, want, cpu(seconds))
	}
}
