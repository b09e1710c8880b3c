// Package negotiate brings a client's stream from its first byte to a bound
// resource, as the server: stream headers (RFC 6120 §4), STARTTLS (§5, RFC
// 7590), SASL (§6) with the types of channel binding (XEP-0440, version 1.0.0),
// resource binding (§7), the session request of RFC 3921 and stream limits
// (XEP-0478, version 0.2.0).
//
// A [Negotiator] works on a [Transport] of elements, so that TCP, WebSocket and
// BOSH have the same negotiation. What extensions registered as [mux.Feature] is
// offered and stepped in between, as often as the peer likes: registration before
// authentication, SASL2, resumption in place of binding.
//
//	n := negotiate.New(m, &negotiate.Options{SASL: mechanisms})
//	if err := n.Serve(ctx, stream, transport); err != nil {
//		stream.Gone(errors.Is(err, io.EOF)) // the peer was told
//		return
//	}
//	// read elements, stream.Receive them, stream.Flush when there are no more
//
// [ConnTransport] is a simple Transport over any [net.Conn], and a [mux.Conn] as
// well. [Negotiator.XMPP] is for those who want an *xmpp.Session of the
// connection. [Extension] belongs into every mux with clients.
//
// Roles: the server of client connections. Missing: negotiation with other
// servers.
//
// Security notes. Nothing but STARTTLS is offered or accepted in clear, unless
// the transport says that it is trusted. The identity of a peer comes from SASL
// alone, never from a stream header. Time, size, number of elements, failed and
// given up attempts are bounded; see [Options].
package negotiate
