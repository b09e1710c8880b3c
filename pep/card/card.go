// Package card keeps the card of an account where XEP-0292: vCard4 Over XMPP, version
// 0.12.0, has it (§4): in a node that everybody may read. It is for clients; for servers it
// is a node like any other.
//
// A card is published whole, so whoever changes a part of it has to keep the rest, which
// other programs may have written and this one does not know:
//
//	err := card.Update(ctx, client, nil, func(c *card.Card) error {
//		return c.Set("fn", "text", "Juliet Capulet")
//	})
//
// # Security
//
// A card is what its owner says, and the node is open unless [Options] say otherwise.
package card

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/internal/document"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

const (
	// NS is the namespace of cards (RFC 6351).
	NS = "urn:ietf:params:xml:ns:vcard-4.0"
	// Node is where they are.
	Node = "urn:xmpp:vcard4"

	current = "current"
)

// Name is the element.
var Name = xml.Name{Space: NS, Local: "vcard"}

// Card is a card. Its zero value is an empty one.
type Card struct{ doc document.Document }

// UnmarshalXML implements [xml.Unmarshaler].
func (c *Card) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	if start.Name != Name {
		return fmt.Errorf("card: %s is no card", start.Name.Local)
	}
	return c.doc.UnmarshalXML(d, start)
}

// TokenReader implements xmlstream.Marshaler.
func (c *Card) TokenReader() xml.TokenReader {
	c.doc.Name = Name
	return c.doc.TokenReader()
}

func property(name string) xml.Name { return xml.Name{Space: NS, Local: name} }

// Get is the value of the first property of a name, such as fn, in a type, such as text;
// empty if there is none.
func (c *Card) Get(name, typ string) string {
	for _, p := range c.doc.All(property(name)) {
		if v := p.Text(typ); v != "" {
			return v
		}
	}
	return ""
}

// All are the values of all properties of a name in a type.
func (c *Card) All(name, typ string) []string {
	var l []string
	for _, p := range c.doc.All(property(name)) {
		if v := p.Text(typ); v != "" {
			l = append(l, v)
		}
	}
	return l
}

// Set puts values in place of all properties of a name, with their parameters; none
// removes them. Those in groups stay. Text that XML has no form for is an error.
func (c *Card) Set(name, typ string, values ...string) error {
	var parts []document.Part
	for _, v := range values {
		p, err := document.Text(NS, v, name, typ)
		if err != nil {
			return err
		}
		parts = append(parts, p)
	}
	c.doc.Put(property(name), parts...)
	return nil
}

// Decode decodes the properties of a name into what v points to one after another: f is
// called for each with what decodes it, as encoding/xml does, and ends it with an error.
func (c *Card) Decode(name string, f func(decode func(v any) error) error) error {
	for _, p := range c.doc.All(property(name)) {
		if err := f(p.Decode); err != nil {
			return err
		}
	}
	return nil
}

// Put puts whole properties in place of all of a name, each one element of that name.
func (c *Card) Put(name string, properties ...xmlstream.Marshaler) error {
	var parts []document.Part
	for _, m := range properties {
		p, err := document.NewPart(m.TokenReader())
		if err != nil {
			return err
		}
		if p.Name != property(name) {
			return fmt.Errorf("card: %s is no %s", p.Name.Local, name)
		}
		parts = append(parts, p)
	}
	c.doc.Put(property(name), parts...)
	return nil
}

// Options refine what is published; nil and the zero value for a node that everybody may
// read, and that is not changed if it is another.
type Options struct {
	// Access is who may read the card; empty for pep.AccessOpen (XEP-0292 §4).
	Access string
	// Repair says what to do if the node is configured in another way.
	Repair pep.Repair
}

func cards(c *pep.Client, o *Options) *pep.Typed[*Card] {
	if o == nil {
		o = new(Options)
	}
	n := pep.Public() // XEP-0222
	n.MaxItems, n.Repair = 1, o.Repair
	if o.Access != "" {
		n.Access = o.Access
	}
	return pep.NewTyped(c, Node, Name, &pep.TypedOptions[*Card]{Node: n, Encode: encode, Decode: decode})
}

func encode(c *Card) (xmlstream.Marshaler, error) { return c, nil }

func decode(p pep.Published) (*Card, error) {
	c := new(Card)
	return c, p.Decode(c)
}

// Get reads the card of an account, the zero JID being the own one. Without it the error
// is [pep.ErrNoItem]; others are those of [pep.Client].
func Get(ctx context.Context, c *pep.Client, of jid.JID) (*Card, error) {
	v, err := cards(c, nil).Newest(ctx, of)
	if err != nil {
		return nil, err
	}
	return v.Value, nil
}

// Update reads the own card, has it changed, and publishes all of it (XEP-0292 §4.1.2). A
// card that cannot be read is not replaced. Errors are that of f and those of
// [pep.Client].
func Update(ctx context.Context, c *pep.Client, o *Options, f func(c *Card) error) error {
	card, err := Get(ctx, c, jid.JID{})
	switch {
	case errors.Is(err, pep.ErrNoItem):
		card = new(Card)
	case err != nil:
		return err
	}
	if err := f(card); err != nil {
		return err
	}
	_, err = cards(c, o).Put(ctx, current, card)
	return err
}

// Watch has cards handled when they are others than before, of the own account and of
// contacts; nil for one that is gone. What comes without the card itself is read (XEP-0292
// §4.2.2).
func Watch(c *pep.Client, handle func(ctx context.Context, of jid.JID, card *Card)) (stop func(), err error) {
	return c.WatchContacts(Node, Name, func(ctx context.Context, of jid.JID, payload mux.Raw) {
		if payload == "" {
			handle(ctx, of, nil)
			return
		}
		if card, err := decode(pep.Published{Payload: payload}); err == nil {
			handle(ctx, of, card)
		}
	})
}
