package private

import (
	"context"
	"encoding/xml"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
)

// Get decodes the element of a name and namespace that the account of the session
// keeps into v, as encoding/xml does: an empty element if it keeps none. Errors
// are a [stanza.Error] of the server, and those of the session, on which Serve must
// be running.
func Get(ctx context.Context, s *xmpp.Session, name xml.Name, v any) error {
	asked := xmlstream.Wrap(nil, xml.StartElement{Name: name})
	answer := struct {
		XMLName xml.Name `xml:"jabber:iq:private query"`
		Inner   wrapped  `xml:",any"`
	}{Inner: wrapped{v}}
	ctx, done := asking.Context(ctx)
	defer done()
	return s.UnmarshalIQElement(ctx, query(asked), stanza.IQ{Type: stanza.GetIQ}, &answer)
}

// Set keeps an element, which must have a namespace of its own, in place of the
// one with its name. Errors are those of [Get].
func Set(ctx context.Context, s *xmpp.Session, element xmlstream.Marshaler) error {
	ctx, done := asking.Context(ctx)
	defer done()
	return s.UnmarshalIQElement(ctx, query(element.TokenReader()), stanza.IQ{Type: stanza.SetIQ}, nil)
}

func query(child xml.TokenReader) xml.TokenReader {
	return xmlstream.Wrap(child, xml.StartElement{Name: xml.Name{Space: NS, Local: "query"}})
}

// wrapped decodes into what it points to.
type wrapped struct{ v any }

// UnmarshalXML implements [xml.Unmarshaler].
func (w *wrapped) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	return d.DecodeElement(w.v, &start)
}
