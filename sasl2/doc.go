// Package sasl2 authenticates clients in one round trip, or as few as can be, on
// the server's side and on theirs:
//
//   - XEP-0388: Extensible SASL Profile, version 1.0.4
//   - XEP-0386: Bind 2, version 1.1.0
//   - XEP-0484: Fast Authentication Streamlining Tokens, version 0.2.0, with
//     mechanisms of the HT family (draft-schmaus-kitten-sasl-ht-09)
//   - XEP-0480: SASL Upgrade Tasks, version 0.2.0, for SCRAM
//   - XEP-0509: Instant Stream Authentication Pipelining, version 0.2.0
//   - XEP-0494: Client Access Management, version 0.1.0
//
// What else may come inside authenticate or bind (resumption, carbons, client
// state) are members that other extensions register with [mux.Registry.Inline];
// this package offers them, and runs them in order: resumption first, and binding
// only if that was refused. A bound session's answer is written in the turn that
// binds.
//
//	m, err := mux.New(host, nil,
//		sasl2.New(mechanisms, tokens, &sasl2.Options{Secret: secret}), …)
//
// mechanisms is a [SASL], such as one of package scram by way of a few lines of
// adapter; tokens a [Store], or nil for neither tokens nor a list of clients.
//
// A client calls [NewSession] in place of xmpp.NewClientSession, with a mechanism
// that proves the password, such as a scram.Client, and a place for what the next
// login goes by. It falls back to the features it is given, such as scram.Features,
// where the server has the older profile only.
//
//	session, login, err := sasl2.NewSession(ctx, account, conn, &sasl2.ClientOptions{
//		Mechanism: mechanism, Binding: scram.BindingData, State: state, Save: save,
//	}, scram.Features(proof)...)
//
// Roles: both, but for client management, which is the server's. [HT] is the
// mechanism's messages for both. Missing: TLS early data, HT2 mechanisms, tasks other
// than upgrades.
//
// # Security
//
// Nothing is offered outside of TLS. Who a client is comes from the mechanism; the
// stream header's from must agree with it and proves nothing. During an exchange
// anything that does not belong to it ends the stream. Tokens are derived from a
// secret and a random number that is all the store has; they are bound to account,
// installation, mechanism and the generation of the credentials, so they are void
// when the password changes. An unknown account, an unknown client and a wrong
// token take the same steps and get the same answer. The id of an installation is
// kept as a keyed hash and shown to nobody.
//
// A client says in clear neither who it is nor believes what it hears there. A
// success counts only if the server has proved to know the password or the token and
// has let in the right account; what is kept of it is durable before it is acted on.
// Everything that is read before is bounded, and every failure closes the connection.
// A token is as good as the password to those who have it, with the channel binding
// that it is for.
package sasl2
