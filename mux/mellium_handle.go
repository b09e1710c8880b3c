package mux

import (
	"context"
	"encoding/xml"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
)

// Handle adapts an [IQFunc] to mellium's mux, for those who have one already and
// want a single handler of an extension in it: it answers requests with a Stanza
// made of the tokens, without turns and sessions.
func Handle(f func(ctx context.Context, s *Stanza) (xmlstream.Marshaler, error)) func(stanza.IQ, xmlstream.TokenReadEncoder, *xml.StartElement) error {
	return func(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		wrapped := iq.Wrap(xmlstream.MultiReader(xmlstream.Token(*start), xmlstream.Inner(t), xmlstream.Token(start.End())))
		tok, err := wrapped.Token()
		if err != nil {
			return err
		}
		head, ok := tok.(xml.StartElement)
		if !ok {
			return errElement
		}
		s, err := FromTokens(head, wrapped)
		if err != nil {
			return err
		}
		payload, err := f(context.Background(), s)
		var reply *Stanza
		if err == nil {
			reply, err = resultOf(s, payload)
		}
		if err != nil {
			reply = ErrorReply(s, err)
		}
		if reply == nil {
			return nil
		}
		reply.to = s.from
		return encode(t, reply.TokenReader())
	}
}

// encode writes tokens of a decoder to an encoder of encoding/xml, which knows
// declared prefixes only if they look like plain attributes.
func encode(w xmlstream.TokenWriter, r xml.TokenReader) error {
	_, err := xmlstream.Copy(w, xmlstream.ReaderFunc(func() (xml.Token, error) {
		t, err := r.Token()
		if start, ok := t.(xml.StartElement); ok {
			for i, a := range start.Attr {
				if a.Name.Space == "xmlns" {
					start.Attr[i].Name = xml.Name{Local: "xmlns:" + a.Name.Local}
				}
			}
		}
		return t, err
	}))
	return err
}
