package mux

import (
	"encoding/xml"
	"io"
	"strings"
	"sync"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// Namespaces the kernel itself needs.
const (
	NSClient = "jabber:client" // the neutral content namespace: stanzas of every stream are held in it
	NSStanza = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsXML    = "http://www.w3.org/XML/1998/namespace"
)

// Stanza is one verified top-level element: a stanza or a nonza. It is
// immutable and may be shared and kept freely; what seems to change it gives a
// new value. Its content is held as the bytes that were received, in the neutral
// content namespace [NSClient] whatever stream they came from.
type Stanza struct {
	kind     Kind
	name     xml.Name
	prefix   string // of a nonza whose content does not inherit its namespace
	typ      string
	id       string
	lang     string
	to, from Address
	badTo    string // what to said, if that is no address
	badFrom  string
	attrs    string // further attributes and namespace declarations, each with a space before it
	body     string
	kids     []Child
	rec      *Record
	size     int // octets as received
}

// roomy is a stanza in one allocation with room for its children.
type roomy struct {
	Stanza
	room [4]Child
}

// Child is a child element of a stanza.
type Child struct {
	Name xml.Name
	raw  string
	decl string // namespace declarations that raw may rely on, of the default too
	off  int    // where raw is in the stanza's body
}

// Head is the start tag of a stanza that is to be made.
type Head struct {
	Kind     Kind
	Type     string
	ID       string
	Lang     string
	To, From Address
}

// Make builds a stanza. Attribute values may hold any text that is legal in XML;
// what is not is left out, since one bad string must not break a peer's stream.
func Make(h Head, children ...Child) *Stanza {
	x := &roomy{Stanza: Stanza{kind: h.Kind, name: xml.Name{Space: NSClient, Local: h.Kind.String()}, typ: legal(h.Type),
		id: legal(h.ID), lang: legal(h.Lang), to: h.To, from: h.From}}
	s := &x.Stanza
	if h.Kind == Message {
		s.rec = new(Record)
	}
	s.setChildren(children, x.room[:0])
	return s
}

func legal(s string) string {
	if xmlwrite.ValidText(s) {
		return s
	}
	return ""
}

func (s *Stanza) setChildren(children, room []Child) {
	if len(children) == 1 {
		s.body = children[0].selfContained()
	} else {
		n := 0
		for _, c := range children {
			n += len(c.raw)
		}
		var b strings.Builder
		b.Grow(n)
		for _, c := range children {
			b.WriteString(c.selfContained())
		}
		s.body = b.String()
	}
	s.kids = append(room, children...)
	off := 0
	for i := range s.kids {
		k := &s.kids[i]
		k.raw, k.decl, k.off = k.selfContained(), "", off
		off += len(k.raw)
	}
	s.size = len(s.body) + 64
}

// Kind says which kind of element s is.
func (s *Stanza) Kind() Kind { return s.kind }

// Name is the element's name; stanzas are in [NSClient].
func (s *Stanza) Name() xml.Name { return s.name }

// Type is the type attribute as written, empty if absent.
func (s *Stanza) Type() string { return s.typ }

// ID is the id attribute.
func (s *Stanza) ID() string { return s.id }

// Lang is xml:lang.
func (s *Stanza) Lang() string { return s.lang }

// To is the addressee; zero if absent or malformed, see [Stanza.MalformedTo].
func (s *Stanza) To() Address { return s.to }

// MalformedFrom is what from said if it is no address, else empty.
func (s *Stanza) MalformedFrom() string { return s.badFrom }

// From is the sender. For a stanza that has passed a client's stream it is what
// the kernel stamped, never what the client wrote.
func (s *Stanza) From() Address { return s.from }

// MalformedTo is what to said if it is no address, else empty.
func (s *Stanza) MalformedTo() string { return s.badTo }

// Size is how many octets the element had on the wire; for one made here about
// as many as it will have.
func (s *Stanza) Size() int { return s.size }

// Children are the child elements in order. The slice must not be changed.
func (s *Stanza) Children() []Child { return s.kids }

// Has reports whether there is a child of that name.
func (s *Stanza) Has(name xml.Name) bool {
	_, ok := s.Child(name)
	return ok
}

// Child is the first child of that name.
func (s *Stanza) Child(name xml.Name) (Child, bool) {
	for i := range s.kids {
		if s.kids[i].Name.Local == name.Local && s.kids[i].Name.Space == name.Space {
			return s.kids[i], true
		}
	}
	return Child{}, false
}

// Attr is the value of another attribute without a namespace, empty if absent.
func (s *Stanza) Attr(local string) string { return findAttr(s.attrs, local) }

// Text is the character data directly inside the element, unescaped, if it has
// no child elements; else empty.
func (s *Stanza) Text() string {
	if len(s.kids) > 0 || s.body == "" {
		return ""
	}
	return charData(s.body)
}

// Payload reads the children (and text) as tokens.
func (s *Stanza) Payload() xml.TokenReader { return tokens(s.body, s.decls()) }

// decls are the namespace declarations that the content may rely on.
func (s *Stanza) decls() string {
	d := nsDecls(s.attrs)
	if s.kind == Nonza && s.prefix == "" && s.name.Space != NSClient {
		d = declOf(s.name.Space) + d
	}
	return d
}

// TokenReader reads the whole element as tokens, so that a Stanza is a
// [xmlstream.Marshaler].
func (s *Stanza) TokenReader() xml.TokenReader {
	return &oneElement{d: xml.NewDecoder(strings.NewReader(string(s.Append(nil, NSClient))))}
}

// Decode decodes the whole element with encoding/xml.
func (s *Stanza) Decode(v any) error {
	return xml.NewTokenDecoder(s.TokenReader()).Decode(v)
}

// Append writes the element as one that declares the namespace ns, or relies on
// the stream's default namespace if ns is empty.
func (s *Stanza) Append(dst []byte, ns string) []byte {
	it := Item{Stanza: s}
	return it.Append(dst, ns)
}

// With is s with a child added at its end.
func (s *Stanza) With(c Child) *Stanza {
	x := &roomy{Stanza: s.copied()}
	n := &x.Stanza
	c.raw, c.decl, c.off = c.selfContained(), "", len(s.body)
	n.kids = append(append(x.room[:0], s.kids...), c)
	n.body = s.body + c.raw
	n.size += len(c.raw)
	return n
}

// Without is s without the children match names; s itself if there are none.
func (s *Stanza) Without(match func(Child) bool) *Stanza {
	n, body, at := (*Stanza)(nil), "", 0
	for i, c := range s.kids {
		if match(c) {
			if n == nil {
				x := &roomy{Stanza: s.copied()}
				n = &x.Stanza
				n.kids = append(x.room[:0], s.kids[:i]...)
			}
			body += s.body[at:c.off] // text between children stays
			at = c.off + len(c.raw)
			n.size -= len(c.raw)
		} else if n != nil {
			c.off += len(body) - at
			n.kids = append(n.kids, c)
		}
	}
	if n == nil {
		return s
	}
	n.body = body + s.body[at:]
	return n
}

// WithTo is s addressed to another address.
func (s *Stanza) WithTo(to Address) *Stanza {
	c := s.copied()
	n := &c
	n.kids = s.kids
	n.to, n.badTo = to, ""
	if n.rec != nil && to != s.to {
		n.rec = new(Record) // a message of its own
	}
	return n
}

// WithFrom is s sent from another address.
func (s *Stanza) WithFrom(from Address) *Stanza {
	c := s.copied()
	n := &c
	n.kids = s.kids
	n.from, n.badFrom = from, ""
	return n
}

// WithID is s with another id.
func (s *Stanza) WithID(id string) *Stanza {
	c := s.copied()
	n := &c
	n.kids = s.kids
	n.id = legal(id)
	return n
}

// copied shares everything but the child index.
func (s *Stanza) copied() Stanza {
	return Stanza{kind: s.kind, name: s.name, prefix: s.prefix, typ: s.typ, id: s.id, lang: s.lang, to: s.to, from: s.from,
		badTo: s.badTo, badFrom: s.badFrom, attrs: s.attrs, body: s.body, rec: s.rec, size: s.size}
}

// NewChild makes a child element from a payload.
func NewChild(p xmlstream.Marshaler) (Child, error) {
	raw, err := appendMarshaler(nil, p)
	if err != nil {
		return Child{}, err
	}
	st, err := Parse(raw)
	if err != nil {
		return Child{}, err
	}
	return Child{Name: st.name, raw: string(raw)}, nil
}

// RawChild makes a child of text that is known to be one well-formed element of
// that name which declares all its namespaces, such as a constant.
func RawChild(name xml.Name, raw string) Child { return Child{Name: name, raw: raw} }

// Raw is the text of the child as written.
func (c Child) Raw() string { return c.raw }

// TokenReader reads the child as tokens, so that it is a [xmlstream.Marshaler].
func (c Child) TokenReader() xml.TokenReader { return tokens(c.raw, c.decl) }

// Decode decodes the child with encoding/xml.
func (c Child) Decode(v any) error { return xml.NewTokenDecoder(c.TokenReader()).Decode(v) }

// Attr is the value of an attribute without a namespace, empty if absent.
func (c Child) Attr(local string) string {
	i := tagNameEnd(c.raw)
	if i < 0 {
		return ""
	}
	return findAttr(c.raw[i:], local)
}

// Text is the character data inside the child, unescaped, if it has no child
// elements; else empty.
func (c Child) Text() string {
	start := startTagEnd(c.raw)
	end := strings.LastIndex(c.raw, "</")
	if end < start {
		return ""
	}
	return charData(c.raw[start:end])
}

// Element is the child as an element of its own, for looking at its children.
func (c Child) Element() (*Stanza, error) {
	mem := elements.Get().(*[]byte)
	*mem = c.appendSelfContained((*mem)[:0])
	s, err := Parse(*mem)
	if cap(*mem) <= 4<<10 {
		elements.Put(mem)
	}
	return s, err
}

// elements are for texts that are parsed, which copies them.
var elements = sync.Pool{New: func() any { return new([]byte) }}

// selfContained is the child's text with all namespaces declared that it
// inherited through prefixes.
func (c Child) selfContained() string {
	if c.decl == "" {
		return c.raw
	}
	return string(c.appendSelfContained(make([]byte, 0, len(c.raw)+len(c.decl))))
}

func (c Child) appendSelfContained(b []byte) []byte {
	if c.decl == "" {
		return append(b, c.raw...)
	}
	i := tagNameEnd(c.raw)
	b = append(b, c.raw[:i]...)
	own := c.raw[i : i+startTagEnd(c.raw[i:])]
	eachAttr(c.decl, func(name, value string) bool {
		if _, has := rawAttr(own, name); !has {
			b = append(b, ' ')
			b = append(b, name...)
			b = append(b, "='"...)
			b = append(b, strings.ReplaceAll(value, "'", "&apos;")...)
			b = append(b, '\'')
		}
		return true
	})
	return append(b, c.raw[i:]...)
}

// Raw is a payload written out: one or more well-formed elements that declare
// their namespaces. It is the cheap way to answer an IQ.
type Raw string

// TokenReader implements [xmlstream.Marshaler].
func (r Raw) TokenReader() xml.TokenReader { return tokens(string(r), "") }

// AppendXML appends the text itself.
func (r Raw) AppendXML(dst []byte) []byte { return append(dst, r...) }

// appendMarshaler writes a payload as children of a stanza.
func appendMarshaler(dst []byte, p xmlstream.Marshaler) ([]byte, error) {
	if p == nil {
		return dst, nil
	}
	if a, ok := p.(interface{ AppendXML([]byte) []byte }); ok {
		return a.AppendXML(dst), nil
	}
	if c, ok := p.(Child); ok {
		return append(dst, c.selfContained()...), nil
	}
	return xmlwrite.AppendTokens(dst, p.TokenReader(), NSClient)
}

// tokens reads text as the content of a stanza that carries decls.
func tokens(text, decls string) xml.TokenReader {
	if !strings.HasPrefix(decls, " xmlns=") {
		decls = " xmlns='" + NSClient + "'" + decls
	}
	d := xml.NewDecoder(strings.NewReader("<x" + decls + ">" + text + "</x>"))
	return &inner{d: d}
}

// inner drops the outermost element.
type inner struct {
	d     *xml.Decoder
	depth int
}

func (r *inner) Token() (xml.Token, error) {
	for {
		t, err := r.d.Token()
		if err != nil {
			return t, err
		}
		switch t.(type) {
		case xml.StartElement:
			if r.depth++; r.depth == 1 {
				continue
			}
		case xml.EndElement:
			if r.depth--; r.depth == 0 {
				return nil, io.EOF
			}
		}
		return t, nil
	}
}

// oneElement ends after the first element.
type oneElement struct {
	d     *xml.Decoder
	depth int
	done  bool
}

func (r *oneElement) Token() (xml.Token, error) {
	if r.done {
		return nil, io.EOF
	}
	t, err := r.d.Token()
	switch t.(type) {
	case xml.StartElement:
		r.depth++
	case xml.EndElement:
		r.depth--
		r.done = r.depth == 0
	}
	return t, err
}

func unescape(s string) string {
	if !strings.ContainsAny(s, "&\r\n\t") {
		return s
	}
	return string(xmlscan.AppendUnescaped(nil, []byte(s)))
}
