package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
)

// TestStatusShowsDomains: a Xen guest's UUID is cut, and its carrier is said.
func TestStatusShowsDomains(t *testing.T) {
	now := time.Now()
	var out strings.Builder
	require.NoError(t, printStatus(&out, control.Status{
		Listen: []string{"xen:"},
		Server: host.Status{Guests: []host.GuestStatus{
			{ID: "domain 3b241101-e2bb-4255-8caf-4136c566a962", Name: "web", Carrier: "vchan", Connected: true, Seeded: true, Violations: 2, LastSeed: now, BudgetLeft: 960, BudgetBytes: 1024},
			{ID: "domain 7", Name: "odd", Carrier: "console", Connected: true},
			{ID: "local:0/17", Name: "init", Carrier: "local", Connected: true},
		}},
	}, now))
	assert.Contains(t, out.String(), "domain 3b241101…")
	assert.NotContains(t, out.String(), "e2bb")
	assert.Contains(t, out.String(), "seeded, vchan")
	assert.Contains(t, out.String(), "waiting, console")
	assert.Regexp(t, `(?m)^local:0/17 .* waiting +0 `, out.String())
}
