package pep

import (
	"encoding/xml"
	"io"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// pubsubXML is what an answer may have in pubsub, of either namespace.
type pubsubXML struct {
	Publish       *itemsXML `xml:"publish"`
	Items         *itemsXML `xml:"items"`
	Create        *itemsXML `xml:"create"`
	Set           *setXML   `xml:"http://jabber.org/protocol/rsm set"`
	Subscription  *subXML   `xml:"subscription"`
	Subscriptions *struct {
		Node string   `xml:"node,attr"`
		List []subXML `xml:"subscription"`
	} `xml:"subscriptions"`
	Affiliations *struct {
		Node string           `xml:"node,attr"`
		List []affiliationXML `xml:"affiliation"`
	} `xml:"affiliations"`
	Configure *struct {
		Form *formXML `xml:"jabber:x:data x"`
	} `xml:"configure"`
}

type itemsXML struct {
	Node string    `xml:"node,attr"`
	List []itemXML `xml:"item"`
}

type itemXML struct {
	ID        string       `xml:"id,attr"`
	Publisher string       `xml:"publisher,attr"`
	Payloads  []payloadXML `xml:",any"`
}

// read is the item. Of several payloads the first is taken, as there is one only
// (XEP-0060 §7.1.1).
func (x *itemXML) read() Published {
	p := Published{ID: x.ID}
	p.Publisher, _ = jid.Parse(x.Publisher) // what is no address says nothing
	if len(x.Payloads) > 0 {
		p.Payload = x.Payloads[0].raw
	}
	return p
}

type subXML struct {
	Node  string `xml:"node,attr"`
	JID   string `xml:"jid,attr"`
	State string `xml:"subscription,attr"`
	SubID string `xml:"subid,attr"`
}

type affiliationXML struct {
	Node  string `xml:"node,attr"`
	JID   string `xml:"jid,attr"`
	Value string `xml:"affiliation,attr"`
}

// setXML is a page (XEP-0059 §2).
type setXML struct {
	First *struct {
		Index *int   `xml:"index,attr"`
		Text  string `xml:",chardata"`
	} `xml:"first"`
	Last  *string `xml:"last"`
	Count *int    `xml:"count"`
}

// formXML is a form that is shown.
type formXML struct {
	Type   string         `xml:"type,attr"`
	Fields []formFieldXML `xml:"field"`
}

type formFieldXML struct {
	Var    string   `xml:"var,attr"`
	Values []string `xml:"value"`
}

// fields are those of pubsub, by their names without pubsub#.
func (f *formXML) fields() Fields {
	m := make(Fields)
	if f == nil {
		return m
	}
	for _, x := range f.Fields {
		if name, ours := cutField(x.Var); ours {
			m[name] = x.Values
		}
	}
	return m
}

type infoXML struct {
	Identities []identityXML `xml:"identity"`
	Features   []struct {
		Var string `xml:"var,attr"`
	} `xml:"feature"`
	Forms []formXML `xml:"jabber:x:data x"`
}

type identityXML struct {
	Category string `xml:"category,attr"`
	Type     string `xml:"type,attr"`
	Name     string `xml:"name,attr"`
}

type listedXML struct {
	List []struct {
		JID  string `xml:"jid,attr"`
		Node string `xml:"node,attr"`
		Name string `xml:"name,attr"`
	} `xml:"item"`
}

// payloadXML is an element written out, which declares all its namespaces.
type payloadXML struct{ raw mux.Raw }

// nowhere is a namespace that nothing is in, so that every other one is declared.
const nowhere = "urn:propolis:nowhere"

// UnmarshalXML implements [xml.Unmarshaler].
func (p *payloadXML) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	raw, err := xmlwrite.AppendTokens(nil, xmlstream.Wrap(xmlstream.Inner(d), start), nowhere)
	p.raw = mux.Raw(raw)
	return err
}

// appendPayload writes the one element of a payload where the default namespace is that
// of pubsub.
func appendPayload(b []byte, payload xmlstream.Marshaler) ([]byte, error) {
	if payload == nil {
		return b, nil
	}
	r := &counting{r: payload.TokenReader()}
	out, err := xmlwrite.AppendTokens(b, r, NS)
	if err != nil || r.elements != 1 {
		return b, ErrPayload
	}
	return out, nil
}

// counting counts the outermost elements.
type counting struct {
	r               xml.TokenReader
	depth, elements int
}

// Token implements xml.TokenReader.
func (c *counting) Token() (xml.Token, error) {
	if c.r == nil {
		return nil, io.EOF
	}
	t, err := c.r.Token()
	switch t.(type) {
	case xml.StartElement:
		if c.depth == 0 {
			c.elements++
		}
		c.depth++
	case xml.EndElement:
		c.depth--
	}
	return t, err
}

// element opens an element of a request: name and value of attributes in turn, of which
// those that are empty are left out. Values must be text that XML allows, see valid.
func element(b []byte, name string, attrs ...string) []byte {
	b = append(append(b, '<'), name...)
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] != "" {
			b = appendAttr(b, attrs[i], attrs[i+1])
		}
	}
	return append(b, '>')
}

// wrapper opens what a request is in.
func wrapper(ns string) []byte { return []byte("<pubsub xmlns='" + ns + "'>") }

func appendText(b []byte, text string) []byte { return xmlwrite.AppendText(b, text) }
