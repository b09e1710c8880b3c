package xmlscan

// Span is a range of the slice that was given to Next: buf[Off:End].
type Span struct{ Off, End int32 }

// Of returns the bytes of b that the span covers.
func (p Span) Of(b []byte) []byte { return b[p.Off:p.End] }

// Len returns the number of bytes covered.
func (p Span) Len() int { return int(p.End - p.Off) }

// SpaceFrom says where the namespace of a [Name] is written.
type SpaceFrom uint8

// Places of a namespace name.
const (
	// FromNone: the name is in no namespace.
	FromNone SpaceFrom = iota
	// FromHere: Name.Space covers the namespace in the slice given to Next; no
	// references in it.
	FromHere
	// FromHeader: bound by the stream header, or the namespace of the prefix xml;
	// ask [Scanner.HeaderSpace].
	FromHeader
	// FromSide: written with references; Name.Space covers the namespace in
	// [Scanner.Side].
	FromSide
)

// Name is an expanded name together with how it was written. Attributes
// without a prefix are in no namespace.
type Name struct {
	Space, Local, Prefix Span
	From                 SpaceFrom
}

// Attr is an attribute that declares no namespace.
type Attr struct {
	Name Name
	// Value covers what stands between the quotes.
	Value Span
	// Escaped: the value has references or white space other than U+0020 in it
	// and must go through AppendUnescaped.
	Escaped bool
}

// Decl is a namespace declaration. An empty Prefix declares the default
// namespace, an empty Value takes it back.
type Decl struct {
	Prefix, Value Span
	// Escaped: the value has references in it and must go through AppendUnescaped.
	Escaped bool
}

// Child is an element directly inside a first-level element.
type Child struct {
	Name     Name
	Span     Span // the whole element, tags included
	StartTag Span
}

// Flags tells what makes an element depend on how its stream was opened.
type Flags uint8

const (
	// FlagHeaderPrefix: a name in it uses a prefix, or a default namespace other
	// than a content namespace, that only the stream header declares.
	FlagHeaderPrefix Flags = 1 << iota
	// FlagContentNS: a content namespace (jabber:client, jabber:server,
	// jabber:component:accept) is bound to a prefix, declared although it is
	// inherited, declared inside as another one than jabber:client, or declared
	// on the top as another one than that of the stream (core-im XS-14).
	FlagContentNS
	// FlagSide: a namespace name is written with references.
	FlagSide
)

// The views below speak of the last Element or Open that Next returned and are
// valid until the next call on the scanner; all offsets count from the start of
// the slice given to that call.

// Name returns the name of the first-level element or stream root.
func (s *Scanner) Name() Name { return s.name }

// Attrs returns its attributes without the namespace declarations.
func (s *Scanner) Attrs() []Attr { return s.attrs }

// Decls returns the namespace declarations of its start tag.
func (s *Scanner) Decls() []Decl { return s.decls }

// Children returns the elements directly inside, in order.
func (s *Scanner) Children() []Child { return s.children }

// StartTag returns where its start tag is. It starts at 0, except for a stream
// header, or the first element of a framed transport, behind an XML declaration.
func (s *Scanner) StartTag() Span { return s.start }

// Content returns what is between start tag and end tag; empty for <x/>.
func (s *Scanner) Content() Span { return s.content }

// HasText tells whether character data other than white space stands directly
// in the first-level element.
func (s *Scanner) HasText() bool { return s.hasText }

// Flags returns what has to be rewritten before the element can be put
// somewhere else; see [Scanner.AppendNormalized].
func (s *Scanner) Flags() Flags { return s.flags }

// Side returns the namespace names that were written with references.
func (s *Scanner) Side() []byte { return s.side }

// HeaderSpace returns the namespace of a name with FromHeader, "" for others.
func (s *Scanner) HeaderSpace(n Name) string {
	switch {
	case n.From != FromHeader:
		return ""
	case n.Space.Off == xmlBinding:
		return nsXML
	default:
		return s.ctx.bindings[n.Space.Off].space
	}
}

// SpaceBytes returns the namespace of a name, wherever it is written. The bytes
// must not be changed.
func (s *Scanner) SpaceBytes(n Name) []byte { return s.spaceIn(s.buf, n) }

// IsContent tells whether a name is in one of the content namespaces, which
// the scanner holds to be the same (core-im XS-14).
func (s *Scanner) IsContent(n Name) bool { return isContent(s.SpaceBytes(n)) }

func (s *Scanner) spaceIn(b []byte, n Name) []byte {
	switch n.From {
	case FromHere:
		return n.Space.Of(b)
	case FromSide:
		return n.Space.Of(s.side)
	case FromHeader:
		if n.Space.Off == xmlBinding {
			return xmlSpace
		}
		return s.ctx.bindings[n.Space.Off].bytes
	}
	return nil
}
