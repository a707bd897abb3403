// Package discovery finds the guests of a Xen host and gives a host their
// channels: [Listen] gives a [transport.Finder] whose Accept yields each
// guest's channels, and [Discovery.Close] cleans up.
//
// A guest is any domain but our own that xenstored knows and the lists allow.
// While it lives,
//
//   - its part of xenstore holds an announcement,
//     /local/domain/<guest>/data/entropy with the nodes instance and arrival,
//     which only it can read: they change when there is somebody new to talk
//     to, or when its memory may be a copy of another's;
//   - each vchan that it offers at
//     /local/domain/<guest>/data/vchan/<own>/entropy is connected;
//   - a PV console named org.openmirage.entropy.1 is plugged into it, for
//     guests that know nothing of vchan.
//
// What comes and goes is seen by watches: xenstored says that something
// changed, and we list and compare. So a restarted daemon takes existing guests
// up like new ones, after it has cleared away what its predecessor left.
//
// A domain that goes loses its channels at once, and with them our mappings: as
// long as there is one, Xen keeps a dead domain as a zombie. A guest that is
// saved and restored, cloned, migrated or rebooted comes back under a new
// domain number, which is what [transport.Peer]'s Incarnation holds; its ID
// goes by the UUID, so that its budget stays with it.
//
// Nothing that a guest writes is believed: who it is follows from the path that
// its nodes stand under. How often it is looked at and connected is limited for
// each guest by itself.
package discovery
