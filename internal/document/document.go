// Package document changes parts of an element and keeps all others as they are, known or
// not, as those must who replace a whole that others write to as well.
package document

import (
	"encoding/xml"
	"slices"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// Document is an element, as its children. Text between them is not kept.
type Document struct {
	Name  xml.Name
	Attr  []xml.Attr // without declarations
	Parts []Part
}

// Part is a child, written out with all its namespaces declared.
type Part struct {
	Name xml.Name
	Raw  string
}

// nowhere is a namespace that nothing is in, so that every other one is declared.
const nowhere = "urn:propolis:nowhere"

// UnmarshalXML implements [xml.Unmarshaler].
func (p *Part) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	raw, err := xmlwrite.AppendTokens(nil, xmlstream.Wrap(xmlstream.Inner(d), start), nowhere)
	p.Name, p.Raw = start.Name, string(raw)
	return err
}

// UnmarshalXML implements [xml.Unmarshaler].
func (doc *Document) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var v struct {
		Attr  []xml.Attr `xml:",any,attr"`
		Parts []Part     `xml:",any"`
	}
	if err := d.DecodeElement(&v, &start); err != nil {
		return err
	}
	v.Attr = slices.DeleteFunc(v.Attr, func(a xml.Attr) bool {
		return a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns"
	})
	*doc = Document{start.Name, v.Attr, v.Parts}
	return nil
}

// TokenReader reads the whole element, so that it is an xmlstream.Marshaler.
func (doc *Document) TokenReader() xml.TokenReader {
	var parts []xml.TokenReader
	for _, p := range doc.Parts {
		parts = append(parts, reader(p.Raw))
	}
	return xmlstream.Wrap(xmlstream.MultiReader(parts...), xml.StartElement{Name: doc.Name, Attr: slices.Clone(doc.Attr)})
}

// All are the parts of a name.
func (doc *Document) All(name xml.Name) []Part {
	var l []Part
	for _, p := range doc.Parts {
		if p.Name == name {
			l = append(l, p)
		}
	}
	return l
}

// Put puts parts in place of all of their name: where the first of those was, or at the
// end. Without any they are removed.
func (doc *Document) Put(name xml.Name, parts ...Part) {
	at := slices.IndexFunc(doc.Parts, func(p Part) bool { return p.Name == name })
	kept := slices.DeleteFunc(slices.Clone(doc.Parts), func(p Part) bool { return p.Name == name })
	if at < 0 {
		at = len(kept)
	}
	doc.Parts = slices.Insert(kept, at, parts...)
}
