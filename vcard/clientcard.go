package vcard

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/document"
)

// Document is a card with all that is in it, known here or not, for [Update].
type Document struct{ doc document.Document }

// UnmarshalXML implements [xml.Unmarshaler].
func (c *Document) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	if start.Name != Name {
		return fmt.Errorf("vcard: %s is no card", start.Name.Local)
	}
	return c.doc.UnmarshalXML(d, start)
}

// TokenReader implements xmlstream.Marshaler.
func (c *Document) TokenReader() xml.TokenReader {
	c.doc.Name = Name
	return c.doc.TokenReader()
}

// Text is the text of the first property of a name, such as FN, or of an element inside
// of it, such as N and FAMILY; empty if there is none.
func (c *Document) Text(property string, inside ...string) string {
	for _, p := range c.doc.All(xml.Name{Space: NS, Local: property}) {
		if v := p.Text(inside...); v != "" {
			return v
		}
	}
	return ""
}

// Set puts one property with a text, in the elements inside of it if any are named, in
// place of all of its name; an empty text removes them. Text that XML has no form for is an
// error.
func (c *Document) Set(text, property string, inside ...string) error {
	var parts []document.Part
	if text != "" {
		p, err := document.Text(NS, text, append([]string{property}, inside...)...)
		if err != nil {
			return err
		}
		parts = append(parts, p)
	}
	c.doc.Put(xml.Name{Space: NS, Local: property}, parts...)
	return nil
}

// Update gets the own card, has it changed, and sets all of it (XEP-0054 §3.2): what is in
// it that this program does not know stays. A card that could not be read is not replaced;
// what others set meanwhile is. Errors are that of f and those of [Get].
func Update(ctx context.Context, s *xmpp.Session, f func(c *Document) error) error {
	var c Document
	err := Get(ctx, s, jid.JID{}, &c)
	if errors.Is(err, stanza.Error{Condition: stanza.ItemNotFound}) {
		err = nil // XEP-0054 §3.1: there is none
	}
	if err == nil {
		err = f(&c)
	}
	if err != nil {
		return err
	}
	return Set(ctx, s, &c)
}
