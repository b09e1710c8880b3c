// Package mux is the kernel that every extension of this module registers
// against: it routes XMPP stanzas (RFC 6120 §8, §10; RFC 6121 §8) between
// accounts, sessions and the rest of the world, and gives extensions typed
// places to take part.
//
// # Things
//
// A [Stanza] is one verified, immutable top-level element. An [Item] is a stanza
// on its way to one recipient. A [Stream] is one live connection; a [Session] is
// one bound resource, which may outlive its streams and the process. All work on
// one account happens in turns, one after another, in order of arrival. A [Work]
// is everything one inbound stanza causes: its durable writes commit together,
// and only then anything it caused leaves the process. A [Record] is shared by
// all copies of one message, so that what becomes of it is decided once.
//
// # Assembling
//
// An embedder provides a [Host] (what lies outside the kernel), optionally a
// [Committer] and a [SessionStore] in [Options], and a [Conn] for each stream:
//
//	m, err := mux.New(host, nil, roster.New(…), disco.New(…))
//	st := m.NewStream(conn, mux.Client)
//	st.BeginLogin()        // before the account is looked up
//	st.SetAccount(account) // who has proved to be that
//	s, err := st.Bind(ctx, &mux.BindOptions{Resource: "phone"})
//	…
//	err = st.Receive(ctx, stanza) // for each stanza read
//
// Order is visible: phase (Guard, Modify, Observe), then the argument order of
// [New]. [Mux.Describe] prints it. Nothing can be registered afterwards.
//
// # Concurrency
//
// A turn runs to completion on the goroutine that brought the stanza; no handler
// runs in parallel with another of the same account, none waits for another
// account, and none waits for the store. A handler that must wait says so when
// it is registered ([Blocks], [BlocksIf]) or answers with [Event.Later].
//
// # Security
//
// The kernel stamps from on whatever a client sends (RFC 6120 §8.1.2.1), answers
// alike for accounts and resources that do not exist and for those that may not
// be seen, bounds what each stream may have in progress, and contains a panic to
// the stanza that caused it.
package mux
