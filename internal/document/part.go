package document

import (
	"encoding/xml"
	"slices"
	"strings"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// reader reads text that is one element, without declarations of prefixes, which the encoder
// of encoding/xml would take for attributes in a namespace.
func reader(raw string) xml.TokenReader {
	d := xml.NewDecoder(strings.NewReader(raw))
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		t, err := d.Token()
		if start, ok := t.(xml.StartElement); ok {
			start.Attr = slices.DeleteFunc(start.Attr, func(a xml.Attr) bool { return a.Name.Space == "xmlns" })
			t = start
		}
		return t, err
	})
}

// NewPart is a part made of tokens: one element. Text that XML has no form for is an error.
func NewPart(r xml.TokenReader) (Part, error) {
	var p Part
	raw, err := xmlwrite.AppendTokens(nil, r, nowhere)
	if err == nil {
		err = xml.NewDecoder(strings.NewReader(string(raw))).Decode(&p)
	}
	return p, err
}

// Text is a part with a text, inside elements of the same namespace, the outermost first.
func Text(space, text string, elements ...string) (Part, error) {
	r := xmlstream.Token(xml.CharData(text))
	for i := len(elements) - 1; i >= 0; i-- {
		r = xmlstream.Wrap(r, xml.StartElement{Name: xml.Name{Space: space, Local: elements[i]}})
	}
	return NewPart(r)
}

// Decode decodes the part into v, as encoding/xml does.
func (p Part) Decode(v any) error { return xml.NewTokenDecoder(reader(p.Raw)).Decode(v) }

// Text is the text directly in the element that the path leads to, from the part inwards;
// empty if there is none.
func (p Part) Text(path ...string) string {
	d := xml.NewDecoder(strings.NewReader(p.Raw))
	depth, found := 0, 0
	var b strings.Builder
	for {
		t, err := d.Token()
		if err != nil {
			return b.String()
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == found+1 && found < len(path) && t.Name.Local == path[found] {
				found++
			}
			depth++
		case xml.EndElement:
			depth--
			if depth == found && found == len(path) {
				return b.String() // of the first
			}
			if depth <= found && found > 0 {
				found--
			}
		case xml.CharData:
			if depth == found+1 && found == len(path) {
				b.Write(t)
			}
		}
	}
}
