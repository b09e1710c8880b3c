package mux

import (
	"encoding/xml"
	"errors"
	"strings"
	"sync"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// errElement is what text that is not exactly one element is refused with.
var errElement = errors.New("mux: not exactly one element")

var scanners = sync.Pool{New: func() any { return new(xmlscan.Scanner) }}

// Parse verifies one whole element, as an embedder with framing of its own has
// it. An element without a namespace is taken to be in the content namespace.
// The error is a [*xmlscan.Error]-like value with the stream error condition, or
// says that there is more or less than one element.
func Parse(raw []byte) (*Stanza, error) {
	sc := scanners.Get().(*xmlscan.Scanner)
	defer scanners.Put(sc)
	// It is in memory already: streams may allow more octets than the default.
	sc.Resume(xmlscan.ClientContext(), xmlscan.Limits{Bytes: max(len(raw), xmlscan.DefaultBytes)})
	k, n, err := sc.Next(raw)
	if err != nil {
		return nil, err
	}
	if k != xmlscan.Element || n != len(raw) {
		return nil, errElement
	}
	return FromScanner(sc, raw), nil
}

// Written is an element of text that is known to be exactly one, well-formed, which
// begins with < and declares all its namespaces except that of the prefix stream,
// such as one that was put together here. It is for sending: its children are not
// told apart, and it is no stanza.
func Written(text string) *Stanza {
	s := &Stanza{kind: Nonza, size: len(text)}
	end := startTagEnd(text)
	name := text[1 : 1+tagNameEnd(text[1:end])]
	tag := text[1+len(name) : end]
	s.name.Local = name
	if prefix, local, ok := strings.Cut(name, ":"); ok {
		s.prefix, s.name.Local = prefix, local
		s.name.Space, _ = rawAttr(tag, "xmlns:"+prefix)
	} else {
		s.name.Space, _ = rawAttr(tag, "xmlns")
	}
	s.attrs = otherAttrs(tag, Nonza, s.prefix != "")
	if end < len(text) {
		s.body = text[end:strings.LastIndex(text, "</")]
	}
	return s
}

// FromTokens verifies an element given as tokens: its start tag and what
// follows up to its end tag, such as mellium hands a handler, or up to io.EOF.
func FromTokens(start xml.StartElement, r xml.TokenReader) (*Stanza, error) {
	raw, err := xmlwrite.AppendTokens(nil, xmlstream.Wrap(xmlstream.Inner(r), start), NSClient)
	if err != nil {
		return nil, err
	}
	return Parse(raw)
}

// FromScanner takes the Element that the scanner has found in buf, which may be
// reused afterwards. It is for packages of this module that have scanners of
// their own.
func FromScanner(sc *xmlscan.Scanner, buf []byte) *Stanza {
	if sc.Flags() != 0 {
		buf = sc.AppendNormalized(nil, buf)
		again := scanners.Get().(*xmlscan.Scanner)
		defer scanners.Put(again)
		again.Resume(xmlscan.ClientContext(), xmlscan.Limits{Bytes: 2*len(buf) + 1024, Depth: 1 << 10, Attrs: 1 << 12, Namespaces: 1 << 12, Elements: 1 << 20, NameBytes: 1 << 12})
		if k, _, err := again.Next(buf); err == nil && k == xmlscan.Element {
			sc = again
		}
	}
	span := func(sp xmlscan.Span) []byte { return buf[sp.Off:sp.End] }
	content := sc.Content()
	tag := sc.StartTag()
	// One copy of the element is all that is kept; everything else is cut out of it.
	text := string(buf)
	name := elementName(sc, sc.Name(), text)
	s := newParsed(kindOf(name), len(sc.Children()))
	s.name, s.size = name, len(buf)
	s.body = text[content.Off:content.End]
	if p := sc.Name().Prefix; s.kind == Nonza && p.Len() > 0 {
		s.prefix = text[p.Off:p.End]
	}
	attrsFrom := int(sc.Name().Local.End)
	decls := len(sc.Decls())
	if decls == 1 && s.prefix == "" && sc.Decls()[0].Prefix.Len() == 0 {
		decls = 0 // otherAttrs leaves it out
	}
	others := decls > 0
	for _, a := range sc.Attrs() {
		v := text[a.Value.Off:a.Value.End]
		if a.Escaped {
			v = string(xmlscan.AppendUnescaped(nil, span(a.Value)))
		}
		switch local := text[a.Name.Local.Off:a.Name.Local.End]; {
		case a.Name.From == xmlscan.FromNone && s.kind != Nonza && local == "to":
			if to, err := ParseAddress(v); err == nil {
				s.to = to
			} else {
				s.badTo = v
			}
		case a.Name.From == xmlscan.FromNone && s.kind != Nonza && local == "from":
			if from, err := ParseAddress(v); err == nil {
				s.from = from
			} else {
				s.badFrom = v
			}
		case a.Name.From == xmlscan.FromNone && s.kind != Nonza && local == "id":
			s.id = v
		case a.Name.From == xmlscan.FromNone && s.kind != Nonza && local == "type":
			s.typ = v
		case local == "lang" && string(sc.SpaceBytes(a.Name)) == nsXML:
			s.lang = v
		default:
			others = true
		}
	}
	if others {
		s.attrs = otherAttrs(text[attrsFrom:tag.End], s.kind, s.prefix != "")
	}
	decl := ""
	if len(sc.Children()) > 0 {
		decl = s.decls()
	}
	for _, c := range sc.Children() {
		s.kids = append(s.kids, Child{Name: elementName(sc, c.Name, text), raw: text[c.Span.Off:c.Span.End], decl: decl, off: int(c.Span.Off - content.Off)})
	}
	return s
}

// newParsed makes a stanza for what was received, with room for its children and its
// record, in one allocation.
func newParsed(k Kind, children int) *Stanza {
	var s *Stanza
	switch {
	case k == Message:
		x := &parsed{}
		s = &x.Stanza
		s.rec, s.kids = &x.rec, x.room[:0]
	case children > 0:
		x := &roomy{}
		s = &x.Stanza
		s.kids = x.room[:0]
	default:
		s = &Stanza{}
	}
	s.kind = k
	return s
}

// parsed is a message that was received.
type parsed struct {
	roomy
	rec Record
}

// elementName resolves a scanned name; names in the content namespace share the
// constant whatever the stream calls it.
func elementName(sc *xmlscan.Scanner, n xmlscan.Name, text string) xml.Name {
	out := xml.Name{Local: text[n.Local.Off:n.Local.End]}
	switch n.From {
	case xmlscan.FromNone:
	case xmlscan.FromHere:
		out.Space = text[n.Space.Off:n.Space.End]
	case xmlscan.FromHeader:
		out.Space = sc.HeaderSpace(n)
	default:
		out.Space = string(sc.SpaceBytes(n))
	}
	switch out.Space {
	case NSClient, "jabber:server", "jabber:component:accept":
		out.Space = NSClient
	}
	return out
}

func kindOf(n xml.Name) Kind {
	if n.Space != NSClient {
		return Nonza
	}
	switch n.Local {
	case "message":
		return Message
	case "presence":
		return Presence
	case "iq":
		return IQ
	}
	return Nonza
}

// otherAttrs is the start tag text without the attributes a Stanza has fields
// for and, unless the element has a prefix, without its default namespace.
func otherAttrs(tag string, k Kind, prefixed bool) string {
	var b []byte
	eachAttr(tag, func(name, value string) bool {
		switch name {
		case "to", "from", "id", "type":
			if k != Nonza {
				return true
			}
		case "xml:lang":
			return true
		case "xmlns":
			if !prefixed {
				return true
			}
		}
		quote := byte('\'')
		for i := 0; i < len(value); i++ {
			if value[i] == '\'' {
				quote = '"'
			}
		}
		b = append(b, ' ')
		b = append(b, name...)
		b = append(b, '=', quote)
		b = append(b, value...)
		b = append(b, quote)
		return true
	})
	return string(b)
}
