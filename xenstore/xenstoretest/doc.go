// Package xenstoretest is a xenstored in memory, for tests: NewServer makes
// one, and Server.Dialer gives connections to it as any domain.
//
//	s := xenstoretest.NewServer()
//	defer s.Close()
//	c, err := xenstore.Dial(ctx, s.Dialer(0))
//
// It speaks the real wire: permissions, quotas for unprivileged domains,
// watches, transactions with conflicts, and lists in parts behave as those of
// the C xenstored 4.17. The conformance package holds the tests that it and the
// real daemons pass alike. Server.DeviceDialer stands for the kernel's device.
// Faults can be put in: see Server.SetFault, Server.DropAll and Server.Fire.
package xenstoretest
