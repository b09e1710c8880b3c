package bookmarks

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

const nsXML = "http://www.w3.org/XML/1998/namespace"

var errNotXML = errors.New("bookmarks: no element")

// attributes are those of an element but for the named ones, which have no namespace,
// and declarations.
func attributes(r xml.TokenReader, but ...string) ([]xml.Attr, error) {
	tok, err := r.Token()
	start, ok := tok.(xml.StartElement)
	if !ok {
		if err == nil {
			err = errNotXML
		}
		return nil, err
	}
	var l []xml.Attr
	for _, a := range start.Attr {
		if isDeclaration(a) || a.Name.Space == "" && slices.Contains(but, a.Name.Local) {
			continue
		}
		l = append(l, a)
	}
	return l, nil
}

func isDeclaration(a xml.Attr) bool {
	return a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns"
}

// appendAttr writes an attribute. A value that XML cannot express is left out.
func appendAttr(b []byte, name, value string) []byte {
	if !xmlwrite.ValidText(value) {
		return b
	}
	b = append(append(append(b, ' '), name...), "='"...)
	return append(xmlwrite.AppendAttrValue(b, value), '\'')
}

// appendAttrs writes attributes as they were read, with declarations of their own.
func appendAttrs(b []byte, l []xml.Attr) []byte {
	for i, a := range l {
		switch a.Name.Space {
		case "":
			b = appendAttr(b, a.Name.Local, a.Value)
		case nsXML, "xml":
			b = appendAttr(b, "xml:"+a.Name.Local, a.Value)
		default:
			prefix := "a" + strconv.Itoa(i)
			b = appendAttr(b, "xmlns:"+prefix, a.Name.Space)
			b = appendAttr(b, prefix+":"+a.Name.Local, a.Value)
		}
	}
	return b
}

// appendText writes an element with text, in the namespace of its place.
func appendText(b []byte, name, text string) []byte {
	if text == "" || !xmlwrite.ValidText(text) {
		return b
	}
	b = append(append(append(b, '<'), name...), '>')
	b = xmlwrite.AppendText(b, text)
	return append(append(append(b, "</"...), name...), '>')
}

// own is an element that declares all its namespaces.
func own(c mux.Child) (mux.Child, error) { return mux.NewChild(c) }

// canonical is what an element says, whatever its prefixes and the order of its
// attributes.
func canonical(c mux.Child) string {
	var b strings.Builder
	for r := c.TokenReader(); ; {
		tok, err := r.Token()
		switch t := tok.(type) {
		case xml.StartElement:
			b.WriteString("<" + strconv.Quote(t.Name.Space) + t.Name.Local)
			l := slices.DeleteFunc(slices.Clone(t.Attr), isDeclaration)
			slices.SortFunc(l, func(a, b xml.Attr) int {
				return cmp.Or(strings.Compare(a.Name.Space, b.Name.Space), strings.Compare(a.Name.Local, b.Name.Local))
			})
			for _, a := range l {
				b.WriteString(" " + strconv.Quote(a.Name.Space) + a.Name.Local + "=" + strconv.Quote(a.Value))
			}
			b.WriteString(">")
		case xml.EndElement:
			b.WriteString("</>")
		case xml.CharData:
			_ = xml.EscapeText(&b, t) // a Builder does not fail
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return c.Raw()
			}
			return b.String()
		}
	}
}

// same reports whether elements say the same in the same order.
func same(a, b []mux.Child) bool {
	return slices.EqualFunc(a, b, func(a, b mux.Child) bool { return a.Name == b.Name && canonical(a) == canonical(b) })
}

// parseBool reads an xs:boolean; what is none is false.
func parseBool(s string) bool { s = strings.TrimSpace(s); return s == "true" || s == "1" }
