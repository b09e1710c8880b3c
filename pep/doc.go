// Package pep is the Personal Eventing Protocol, XEP-0163 version 1.2.2, on the part
// of XEP-0060 (version 1.30.0) that it needs, on the server's side: every account is
// a pubsub service at its bare JID.
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
// # Security
//
// Access is decided for each event when it is sent, by the roster, affiliations and
// blocks as they are then (XEP-0060 §14.3). Who may not see anything is answered as if
// there were no such account. All that others can make grow is bounded, see [Options].
package pep
