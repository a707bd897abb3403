// Package debian fetches Debian packages into a cache and unpacks them there:
// Cache.Fetch does it and says where. The host's own package state is neither
// read nor changed, but for the address of its mirror and its proxy settings.
//
// Nothing is installed: maintainer scripts do not run, and foreign
// architectures are as good as the machine's own.
package debian
