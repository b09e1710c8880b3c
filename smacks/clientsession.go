package smacks

import (
	"context"
	"encoding/xml"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

func newClientConn(c *Client) *clientConn {
	k := &clientConn{c: c, pending: make(map[string]string), rooms: make(map[string]struct{})}
	k.served, k.unserve = context.WithCancel(context.Background())
	k.sc.Resume(xmlscan.ClientContext(), xmlscan.Limits{Bytes: maxElement})
	return k
}

// ours is a feature that is always there: mellium does not take a list it has no use for.
var ours = xml.Name{Space: "urn:propolis:session", Local: "session"}

// session is the session of mellium over it, which thinks that it has been told these
// features. There is nothing to negotiate, and so nothing that the end of a context could
// be for, see logIn.
func (k *clientConn) session(ctx context.Context, addr jid.JID, features []string) (*xmpp.Session, error) {
	b := []byte("<stream:stream xmlns='" + mux.NSClient + "' xmlns:stream='" + stream.NS + "' id='1' version='1.0' from='")
	b = append(xmlwrite.AppendAttrValue(b, addr.Domainpart()), "' to='"...)
	b = append(xmlwrite.AppendAttrValue(b, addr.String()), "'><stream:features>"...)
	for _, ns := range append([]string{ours.Space}, features...) {
		b = append(b, "<session xmlns='"...)
		b = append(xmlwrite.AppendAttrValue(b, ns), "'/>"...)
	}
	k.c.mu.Lock()
	k.give(append(b, "</stream:features>"...), false)
	k.c.mu.Unlock()
	k.opening = true
	defer func() { k.opening = false }()
	return xmpp.NewSession(context.WithoutCancel(ctx), addr.Domain(), addr, k, xmpp.Secure|xmpp.Authn,
		xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: []xmpp.StreamFeature{{Name: ours, Parse: parseAny(false)}}}
		}))
}
