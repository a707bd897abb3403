package config

import (
	"strings"

	"github.com/xentropyd/xentropyd/transport"
)

// Table is the table of the carrier that has an address, nil if it has none.
func (c *Config) Table(address string) transport.Config {
	if scheme, _, _ := strings.Cut(address, ":"); scheme == "xen" {
		return &c.Xen
	}
	return nil
}
