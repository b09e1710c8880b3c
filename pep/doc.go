// Package pep is the Personal Eventing Protocol, XEP-0163 version 1.2.2, on the part
// of XEP-0060 (version 1.30.0) that it needs: every account is a pubsub service at its
// bare JID. It has the server's side, [Extension], and the client's, [Client].
//
// # Server
//
// An account publishes items to its nodes, which come to be by that (§3), and whoever
// may see a node reads it or is told: explicit subscribers, and without being asked
// every resource whose capabilities say NODE+notify (XEP-0060 §9). What capabilities
// say is read elsewhere; it is told to the Extension through its methods of
// [Interest], so that publishing costs what those interested cost and nothing for
// the others:
//
//	contacts := roster.New(…)
//	events := pep.New(new(pep.Memory), &pep.Options{Subscription: contacts.Subscription, …})
//	… // whoever reads capabilities calls events.Wants
//
// # Client
//
// A Client publishes to the own nodes and reads those of others, on a session of
// mellium.im/xmpp; see [Private] and [Public] for how nodes are to be (XEP-0223 version
// 1.1.1, XEP-0222 version 1.0), [Typed] for values of one's own, and packages nick, omemo
// and card below this one for what others use. Events come to whoever has called [Client.Watch]:
//
//	c := pep.NewClient(session, &pep.ClientOptions{Contact: inRoster, Changed: sendPresence})
//	c.Watch(pep.Watch{Node: "urn:example:mine", Fetch: true, Handle: …})
//	go session.Serve(xmppmux.New(stanza.NSClient, c.Handle()))
//	… // presence, with capabilities that have c.Features()
//	err := c.Begin(ctx)
//
// Calls end with their context, in time, and with the session: then with
// [ErrDisconnected], which leaves open whether the server has done what it was asked.
// After a new login goes on [Client.Use].
//
// # Security
//
// For servers: access is decided for each event when it is sent, by the roster,
// affiliations and blocks as they are then (XEP-0060 §14.3). Who may not see anything is
// answered as if there were no such account. All that others can make grow is bounded, see
// [Options].
//
// For clients: an event counts only where it stands in the message itself and comes from a
// bare address that the watcher accepts, which is the own account alone unless it says
// otherwise; anybody may send something that looks like one. Nothing private is published
// to a server that would not keep it so. Names, texts and payloads are what others have
// written, and nothing else is checked of them than the payload's name and size.
package pep
