// Package propolis is the root of a library of XMPP server extensions.
//
// It has no code. Each extension is a package of its own that registers
// against the shared kernel in package mux, so that a program imports what it
// uses and nothing else:
//
//   - mux is the kernel: verified stanzas, sessions, accounts, routing and the
//     points at which extensions take part; mux/muxtest runs an extension
//     against transcripts without a network.
//   - negotiate brings a stream from the first byte to a bound resource.
//   - server is a complete host on top of both: listeners, accounts, limits,
//     shutdown.
//   - scram, register, blocking, roster, presence, disco, ping, version, entitytime
//     and lastactivity are the extensions; each names in its documentation the RFC or
//     XEP and the version that it implements.
//   - sqlstore, a module of its own, keeps the state of all of them in SQLite.
//   - examples/server, in a module of its own too, is the reference server and
//     the documentation of how to put the packages together.
//
// The packages stand on mellium.im/xmpp: addresses, stanza types and client
// sessions are those of that library.
package propolis
