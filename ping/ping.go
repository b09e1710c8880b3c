// Package ping answers pings, XEP-0199: XMPP Ping, version 2.0.1, on the server's
// side.
//
// A ping to a served domain, to the sender's own account or without an address
// gets an empty result (§4.2). One to a full JID is the business of that client
// and passes; one to the bare JID of somebody else is not answered for them.
// Pinging idle clients (§4.1) is not part of it.
//
// There is nothing to set up:
//
//	m, err := mux.New(host, nil, ping.New(), …)
//
// A client pings with Send of mellium.im/xmpp/ping.
//
// # Security
//
// The answer says no more than that the server is there. Whether an account
// exists does not show, because pings to other accounts are refused alike.
package ping

import (
	"context"
	"encoding/xml"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of pings, and the feature.
const NS = "urn:xmpp:ping"

var _ mux.Extension = (*Extension)(nil)

// Extension answers pings. It has no state.
type Extension struct{}

// New returns the extension.
func New() *Extension { return &Extension{} }

// Name implements [mux.Extension].
func (*Extension) Name() string { return "ping" }

// Register implements [mux.Extension].
func (*Extension) Register(r *mux.Registry) error {
	name := xml.Name{Space: NS, Local: "ping"}
	// XEP-0199 §4.1, §4.2: to the server and to the own account alike.
	r.IQ(mux.AtHost, stanza.GetIQ, name, pong)
	r.IQ(mux.AtSelf, stanza.GetIQ, name, pong)
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(NS)
		return nil
	})
	return nil
}

func pong(context.Context, *mux.Event) (xmlstream.Marshaler, error) { return nil, nil }
