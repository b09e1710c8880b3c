package vcard

import (
	"context"
	"encoding/xml"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
)

// Get decodes the card of an account into v, as encoding/xml does; the zero JID
// stands for the own account. Errors are a [stanza.Error], of which
// item-not-found and service-unavailable say that there is no card, and those of
// the session, on which Serve must be running.
func Get(ctx context.Context, s *xmpp.Session, of jid.JID, v any) error {
	if !of.Equal(jid.JID{}) {
		of = of.Bare() // XEP-0054 §3.3
	}
	return GetAt(ctx, s, of, v)
}

// GetAt is Get for exactly the address that is given: the full one of an occupant of a chat
// room, who is asked by the room (XEP-0045), or a bare one.
func GetAt(ctx context.Context, s *xmpp.Session, of jid.JID, v any) error {
	ctx, done := asking.Context(ctx)
	defer done()
	return s.UnmarshalIQElement(ctx, xmlstream.Wrap(nil, xml.StartElement{Name: Name}), stanza.IQ{Type: stanza.GetIQ, To: of}, v)
}

// Set replaces the own card by an element vCard; there is no way to change a part
// of it (XEP-0054 §3.2). Errors are those of [Get].
func Set(ctx context.Context, s *xmpp.Session, card xmlstream.Marshaler) error {
	ctx, done := asking.Context(ctx)
	defer done()
	return s.UnmarshalIQElement(ctx, card.TokenReader(), stanza.IQ{Type: stanza.SetIQ}, nil)
}
