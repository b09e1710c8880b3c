package xmlscan

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
)

// beyond are the reasons that encoding/xml does not know: the stars in the
// documentation of Reason.
var beyond = map[Reason]bool{
	Trailing: true, AfterClose: true, TextBeforeRoot: true, ByteOrderMark: true, IllegalChar: true, BadName: true,
	ReservedName: true, DuplicateAttr: true, UndeclaredPrefix: true, EmptyPrefix: true, ReservedBinding: true,
	BadNamespaceName: true, NoSpace: true, MisplacedDecl: true, BadDecl: true, Comment: true, ProcInst: true, DTD: true,
	TextBetween: true, RootName: true, EmptyRoot: true, RootNamespace: true, ContentAttr: true,
	LimitBytes: true, LimitDepth: true, LimitAttrs: true, LimitNamespaces: true, LimitElements: true, LimitName: true,
}

// node is an element as encoding/xml sees it.
type node struct {
	name     xml.Name
	attrs    []xml.Attr // declarations left out
	text     string     // direct character data
	children []*node
	off, end int64
}

// decode reads the first element behind the header with encoding/xml; its
// offsets count from the end of the header.
func decode(header string, in []byte) (*node, error) {
	d := xml.NewDecoder(strings.NewReader(header + string(in)))
	if header != "" {
		if _, err := d.Token(); err != nil {
			return nil, err
		}
	}
	base := int64(len(header))
	root := &node{}
	stack := []*node{root}
	for {
		off := d.InputOffset() - base
		tok, err := d.Token()
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &node{name: tok.Name, off: off}
			for _, a := range tok.Attr {
				if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
					a.Value = strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(a.Value)
					n.attrs = append(n.attrs, a)
				}
			}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			top.end = d.InputOffset() - base
			if stack = stack[:len(stack)-1]; len(stack) == 1 {
				return root.children[0], nil
			}
			if len(stack) == 0 {
				return nil, nil // end of the header's element
			}
		case xml.CharData:
			top.text += string(tok)
		}
	}
}

func resolved(s *Scanner, b []byte, n Name) xml.Name {
	return xml.Name{Space: string(s.SpaceBytes(n)), Local: string(n.Local.Of(b))}
}

// compare checks the views of s on b against what encoding/xml says.
func compare(t *testing.T, s *Scanner, b []byte, want *node) {
	t.Helper()
	if want.end != int64(len(b)) || want.off != int64(s.StartTag().Off) {
		t.Fatalf("%q: got element [%d:%d], want [%d:%d]", b, s.StartTag().Off, len(b), want.off, want.end)
	}
	if got := resolved(s, b, s.Name()); got != want.name {
		t.Fatalf("%q: got name %v, want %v", b, got, want.name)
	}
	if len(s.Attrs()) != len(want.attrs) {
		t.Fatalf("%q: got %d attributes, want %d", b, len(s.Attrs()), len(want.attrs))
	}
	for i, a := range s.Attrs() {
		value := string(a.Value.Of(b))
		unescaped := string(AppendUnescaped(nil, a.Value.Of(b)))
		if !a.Escaped && value != unescaped {
			t.Fatalf("%q: value %q not marked as escaped", b, value)
		}
		unescaped = strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(unescaped)
		if resolved(s, b, a.Name) != want.attrs[i].Name || unescaped != want.attrs[i].Value {
			t.Fatalf("%q: got attribute %v=%q, want %v", b, resolved(s, b, a.Name), unescaped, want.attrs[i])
		}
	}
	if len(s.Children()) != len(want.children) {
		t.Fatalf("%q: got %d children, want %d", b, len(s.Children()), len(want.children))
	}
	for i, c := range s.Children() {
		w := want.children[i]
		if resolved(s, b, c.Name) != w.name || int64(c.Span.Off) != w.off || int64(c.Span.End) != w.end ||
			c.StartTag.Off != c.Span.Off || b[c.StartTag.End-1] != '>' {
			t.Fatalf("%q: got child %v %v, want %+v", b, resolved(s, b, c.Name), c, w)
		}
	}
	if got, want := s.HasText(), strings.Trim(want.text, " \t\r\n") != ""; got != want {
		t.Fatalf("%q: got HasText %v, want %v", b, got, want)
	}
	inner := s.Content().Of(b)
	if s.Content().Len() > 0 && (b[s.Content().Off-1] != '>' || !bytes.HasPrefix(b[s.Content().End:], []byte("</"))) {
		t.Fatalf("%q: got content %q", b, inner)
	}
}

// checkAgainstDecoder gives in, without leading white space, to both parsers.
func checkAgainstDecoder(t *testing.T, head string, in []byte) {
	t.Helper()
	s := newTestScanner(t, head, Limits{})
	header := ""
	if head == "in" {
		header = clientHeader
	}
	in = bytes.TrimLeft(in, " \t\r\n")
	kind, n, err := s.Next(in)
	want, wantErr := decode(header, in)
	switch {
	case err != nil:
		if r := err.(*Error).Reason; wantErr == nil && want != nil && !beyond[r] {
			t.Fatalf("%q: refused with %v, which is not documented", in, err)
		}
		if off := err.(*Error).Offset; off < 0 || off > len(in) {
			t.Fatalf("%q: offset %d", in, off)
		}
	case kind == Element:
		if want, wantErr = decode(header, in[:n]); wantErr != nil || want == nil {
			t.Fatalf("%q: accepted, encoding/xml says %v", in[:n], wantErr)
		}
		compare(t, s, in[:n], want)
	case kind == None:
		if wantErr == nil && want != nil {
			t.Fatalf("%q: not finished, encoding/xml ends at %d", in, want.end)
		}
	}
}

// accepted are documents that the scanner must take; also seeds.
var accepted = []string{
	`<a/>`, `<a></a>`, "<a\t\r\n/>", "<a b = 'c'\nd\t=\r\"e\" ></a >", `<presence/>`,
	`<message from='juliet@example.net/balcony' to="romeo@example.org" type='chat' xml:lang='en'><body>Wherefore art thou?</body>` +
		`<active xmlns='http://jabber.org/protocol/chatstates'/><origin-id xmlns='urn:xmpp:sid:0' id='abc'/></message>`,
	`<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>`,
	`<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
	`<a>&lt;&gt;&amp;&apos;&quot;&#65;&#x41;&#x0000000000000041;&#13;&#x10FFFF;</a>`,
	`<a b='&lt;&#10;&quot;"&apos;'/>`, "<a b='x\ty\nz\r\nw'/>", `<a b="it's" c='"'/>`, "<a>\r\n \t</a>", `<a> &#32; </a>`, `<a> &#33; </a>`,
	`<a><![CDATA[<b>&x;]]]]><![CDATA[>]]></a>`, `<a><![CDATA[]]></a>`, `<a><![CDATA[ ]]></a>`, `<a><![CDATA[]>]]></a>`, `<a>]] ></a>`, `<a>]]&gt;</a>`,
	`<a>]<![CDATA[]]]>]></a>`, `<a>></a>`,
	`<ä:ö xmlns:ä='urn:ü' ä:é='ß'>€ 😀 ` + "\uFEFF\uFFFD\u0085\u2028" + `</ä:ö>`, `<name·1/>`, `<_-.9 _.-='1'/>`,
	`<p:a xmlns:p='urn:x' p:b='1' b='2'><p:c xmlns:p='urn:y' p:b='1'/><p:d/></p:a>`,
	`<a xmlns='urn:x'><b xmlns=''><c xmlns='urn:&#x79;&amp;z'/></b></a>`, `<a xmlns='&#106;abber:client'/>`,
	`<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:space='preserve'/>`, `<xml/>`, `<xmlnsx xmlnsx='1' xml='2'/>`,
	`<a xmlns:p='urn:x' xmlns:q='urn:y' p:b='1' q:b='2' b='3'/>`, `<a xmlns:p="urn:'x'"/>`,
	`<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' to='x'><body>y</body></message></forwarded></message>`,
	`<message xmlns='jabber:client'><body xmlns='jabber:client'>x</body></message>`,
	`<message xmlns='jabber:server'><body>x</body></message>`, `<c:message xmlns:c='jabber:server'><c:body>x</c:body><x xmlns='urn:x'/></c:message>`,
	`<message><x xmlns='urn:x'><message xmlns='jabber:component:accept'/></x></message>`,
	`<message xmlns:s='jabber:client'><x xmlns='urn:x'><s:body xmlns='urn:y'><z/><s:w/></s:body><v/></x></message>`,
	`<c:a xmlns='urn:d1' xmlns:c='jabber:client' xmlns:d7='urn:7'><b><c:c><e xmlns=''><f/></e></c:c><d7:g/></b></c:a>`,
	`<x xmlns='urn:x'><c:y xmlns:c='jabber:client' xmlns=''><z/></c:y></x>`,
	`<p:x xmlns:p='urn:x' xmlns='jabber:client'><body/><stream:y/></p:x>`,
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, in := range accepted {
		s := newTestScanner(t, "in", Limits{})
		if kind, n, err := s.Next([]byte(in + "<next/>")); kind != Element || n != len(in) || err != nil {
			t.Errorf("%q: got %v, %d, %v", in, kind, n, err)
			continue
		}
		checkAgainstDecoder(t, "in", []byte(in))
		checkAgainstDecoder(t, "in", []byte("<w>"+in+" "+in+"</w>"))
	}
}

func addSeeds(f *testing.F) {
	f.Helper()
	for _, in := range accepted {
		f.Add([]byte(in))
		f.Add([]byte(in + in))
	}
	for _, tc := range refusals {
		f.Add([]byte(tc.in))
	}
	f.Add([]byte(clientHeader + " <presence/> </stream:stream>"))
	f.Add([]byte("<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\n" + clientHeader))
}

// FuzzAgainstEncodingXML holds the scanner against encoding/xml: an element
// that is accepted decodes there to the same thing and ends at the same byte,
// and what is refused though encoding/xml takes it has a documented reason.
func FuzzAgainstEncodingXML(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		checkAgainstDecoder(t, "in", in)
		checkAgainstDecoder(t, "ws", in)
		checkAgainstDecoder(t, "in", append(append([]byte("<w xmlns:w='urn:w'>"), in...), "</w>"...))
	})
}
