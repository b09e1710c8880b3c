package mux_test

import (
	"encoding/xml"
	"strings"
	"testing"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func parse(t testing.TB, text string) *mux.Stanza {
	t.Helper()
	s, err := mux.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}

func TestParseFields(t *testing.T) {
	t.Parallel()
	s := parse(t, "<message xmlns='jabber:client' from='Romeo@Example.NET/Orchard' to='juliet@example.net' type='chat' id='a&amp;b' xml:lang='it' odd='1&lt;2' xmlns:p='urn:p' p:q='r'>"+
		"<body>a &amp; b<![CDATA[<c>]]></body> <p:x p:y='z'/></message>")
	for _, tt := range []struct{ what, got, want string }{
		{"kind", s.Kind().String(), "message"},
		{"from", s.From().String(), "romeo@example.net/Orchard"},
		{"to", s.To().String(), "juliet@example.net"},
		{"type", s.Type(), "chat"},
		{"id", s.ID(), "a&b"},
		{"lang", s.Lang(), "it"},
		{"attribute", s.Attr("odd"), "1<2"},
		{"no attribute", s.Attr("q"), ""},
		{"text beside children", s.Text(), ""},
		{"body", s.Children()[0].Text(), "a & b<c>"},
		{"name of child", s.Children()[1].Name.Space + " " + s.Children()[1].Name.Local, "urn:p x"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.what, tt.got, tt.want)
		}
	}
	if !s.Has(name("urn:p", "x")) || s.Has(name("urn:p", "y")) || s.Has(name("jabber:client", "x")) {
		t.Error("Has is wrong")
	}
	var v struct {
		XMLName xml.Name `xml:"jabber:client message"`
		Body    string   `xml:"body"`
		X       struct {
			Y string `xml:"urn:p y,attr"`
		} `xml:"urn:p x"`
	}
	if err := s.Decode(&v); err != nil || v.Body != "a & b<c>" || v.X.Y != "z" {
		t.Errorf("decoded %+v, %v", v, err)
	}
}

func TestParseKinds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		kind mux.Kind
	}{
		{"<iq/>", mux.IQ}, {"<presence/>", mux.Presence}, {"<message xmlns='jabber:server'/>", mux.Message},
		{"<c:message xmlns:c='jabber:client'/>", mux.Message}, {"<message xmlns='urn:x'/>", mux.Nonza}, {"<msg/>", mux.Nonza},
		{"<r xmlns='urn:xmpp:sm:3'/>", mux.Nonza},
	} {
		if got := parse(t, tt.text).Kind(); got != tt.kind {
			t.Errorf("%s: got %s", tt.text, got)
		}
	}
	for _, bad := range []string{"", " ", "text", "<iq/><iq/>", "<iq/> ", "<iq>", "</iq>", "<!-- c --><iq/>", "<iq><!-- c --></iq>", "<iq><x:y/></iq>", "<iq a='1' a='2'/>", "<?xml version='1.0'?><iq/>"} {
		if s, err := mux.Parse([]byte(bad)); err == nil {
			t.Errorf("%q was taken as %s", bad, s.Append(nil, ""))
		}
	}
}

// Whatever the stream called its content namespace, inside it is jabber:client.
func TestContentNamespace(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"<message><body>x</body></message>",
		"<message xmlns='jabber:client'><body>x</body></message>",
		"<message xmlns='jabber:server'><body>x</body></message>",
		"<message xmlns='jabber:component:accept'><body>x</body></message>",
		"<a:message xmlns:a='jabber:server'><a:body>x</a:body></a:message>",
		"<message><b:body xmlns:b='jabber:server'>x</b:body></message>",
	} {
		s := parse(t, text)
		if !s.Has(name("jabber:client", "body")) {
			t.Errorf("%s: the body is %v", text, s.Children()[0].Name)
		}
		if err := muxtest.Match("<message><body>x</body></message>", string(s.Append(nil, "")), nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := muxtest.Match("<message><body>x</body></message>", string(s.Append(nil, "jabber:client")), nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// withCases are stanzas whose children rely on declarations of different places.
var withCases = []string{
	"<message><a xmlns='urn:a'/><b xmlns='urn:b'/></message>",
	"<message xmlns:p='urn:p'><p:a/><p:b p:c='d'><p:e/></p:b></message>",
	"<message xmlns:p='urn:p'><p:a xmlns:p='urn:q'/><b xmlns='urn:b' p:c='d'/></message>",
	"<message xmlns:p='urn:p' xmlns:q=\"urn:'q'\"><q:a/>text<p:a><q:b/></p:a><q:a/></message>",
	"<message><a xmlns='urn:a'/>one<a xmlns='urn:a'/>two<a xmlns='urn:a'/></message>",
	"<message xmlns:p='urn:p'><x xmlns='urn:x' p:y=\"a'b\"/><p:a>\n</p:a></message>",
	"<message xmlns:p='urn:p'><p:a\n/><p:b\t>x</p:b ></message>",
	"<message xmlns:p='urn:p&amp;&lt;'><p:a/></message>",
	"<message><b xmlns='urn:b'><a xmlns='urn:a'/></b><a xmlns='urn:a'/></message>",
	"<message><![CDATA[<a xmlns='urn:a'/>]]><a xmlns='urn:a'/>end</message>",
}

func TestWithAndWithout(t *testing.T) {
	t.Parallel()
	for _, text := range withCases {
		s := parse(t, text)
		before := string(s.Append(nil, ""))
		for i, c := range s.Children() {
			// Each child alone is what it was.
			alone := mux.Make(mux.Head{Kind: mux.Message}, c)
			el, err := c.Element()
			if err != nil {
				t.Fatalf("%s: child %d: %v", text, i, err)
			}
			if el.Name() != c.Name {
				t.Errorf("%s: child %d is %v, want %v", text, i, el.Name(), c.Name)
			}
			same(t, text, "<message>"+string(el.Append(nil, ""))+"</message>", string(alone.Append(nil, "")))
			// Added to another stanza and taken out again.
			host := parse(t, "<message xmlns:p='urn:other'><p:z/></message>")
			more := host.With(c)
			again := parse(t, string(more.Append(nil, "")))
			if n := len(again.Children()); n != 2 || again.Children()[1].Name != c.Name || again.Children()[0].Name != name("urn:other", "z") {
				t.Errorf("%s: with child %d: %s", text, i, more.Append(nil, ""))
			}
			seen := 0
			less := more.Without(func(Child mux.Child) bool { seen++; return seen == 2 })
			same(t, text, string(host.Append(nil, "")), string(less.Append(nil, "")))
			// Without the i-th.
			n := -1
			rest := s.Without(func(mux.Child) bool { n++; return n == i })
			if len(rest.Children()) != len(s.Children())-1 {
				t.Errorf("%s without %d: %d children", text, i, len(rest.Children()))
			}
			same(t, text, without(text, s, i), string(rest.Append(nil, "")))
			// And those left are still where they are said to be.
			for j := range rest.Children() {
				n := -1
				two := rest.Without(func(mux.Child) bool { n++; return n == j })
				same(t, text, without(string(rest.Append(nil, "")), rest, j), string(two.Append(nil, "")))
			}
		}
		if s.Without(func(mux.Child) bool { return false }) != s {
			t.Errorf("%s: Without nothing is another", text)
		}
		if got := string(s.Append(nil, "")); got != before {
			t.Errorf("%s was changed to %s", before, got)
		}
	}
}

// without cuts the i-th child out of the text of a stanza, by counting.
func without(text string, s *mux.Stanza, i int) string {
	at := strings.IndexByte(text, '>') + 1
	for j, c := range s.Children() {
		for !strings.HasPrefix(text[at:], c.Raw()) {
			if strings.HasPrefix(text[at:], "<![CDATA[") {
				at += strings.Index(text[at:], "]]>")
			}
			at++
		}
		if j == i {
			return text[:at] + text[at+len(c.Raw()):]
		}
		at += len(c.Raw())
	}
	panic("no such child")
}

func same(t testing.TB, what, want, got string) {
	t.Helper()
	if err := muxtest.Match(want, got, nil); err != nil {
		t.Errorf("%s: %v\n got: %s\nwant: %s", what, err, got, want)
	}
}

func TestWithHead(t *testing.T) {
	t.Parallel()
	s := parse(t, "<message from='a@b.example' to='@' id='1'><x xmlns='urn:x'/></message>")
	if s.MalformedTo() != "@" {
		t.Errorf("malformed to is %q", s.MalformedTo())
	}
	same(t, "WithTo", "<message from='a@b.example' to='c@d.example' id='1'><x xmlns='urn:x'/></message>", string(s.WithTo(addr("c@d.example")).Append(nil, "")))
	same(t, "WithFrom", "<message from='c@d.example' to='@' id='1'><x xmlns='urn:x'/></message>", string(s.WithFrom(addr("c@d.example")).Append(nil, "")))
	same(t, "WithID", "<message from='a@b.example' to='@' id='&apos;&lt;'><x xmlns='urn:x'/></message>", string(s.WithID("'<").Append(nil, "")))
	same(t, "illegal", "<message from='a@b.example' to='@'><x xmlns='urn:x'/></message>", string(s.WithID("\x00").Append(nil, "")))
	for _, n := range []*mux.Stanza{s.WithTo(addr("c@d.example")), s.WithFrom(addr("c@d.example")), s.WithID("2")} {
		if len(n.Children()) != 1 || !n.Has(name("urn:x", "x")) {
			t.Error("children are lost")
		}
	}
}

// marshaler is a payload given as tokens.
type marshaler struct{ r func() xml.TokenReader }

func (m marshaler) TokenReader() xml.TokenReader { return m.r() }

func TestNewChild(t *testing.T) {
	t.Parallel()
	start := xml.StartElement{Name: name("urn:x", "x"), Attr: []xml.Attr{{Name: name("", "a"), Value: "<"}}}
	c, err := mux.NewChild(marshaler{func() xml.TokenReader { return xmlstream.Wrap(xmlstream.Token(xml.CharData("a<b")), start) }})
	if err != nil || c.Name != name("urn:x", "x") || c.Text() != "a<b" || c.Attr("a") != "<" {
		t.Errorf("got %q, %v", c.Raw(), err)
	}
	for _, bad := range []mux.Raw{"", "<a/><b/>", "text", "<a>"} {
		if c, err := mux.NewChild(bad); err == nil {
			t.Errorf("%q became %q", bad, c.Raw())
		}
	}
	made := mux.Make(mux.Head{Kind: mux.IQ, Type: "get", ID: "\x01", Lang: "it", From: addr("a@b.example")}, c, mux.RawChild(name("urn:y", "y"), "<y xmlns='urn:y'/>"))
	same(t, "Make", "<iq type='get' xml:lang='it' from='a@b.example'><x xmlns='urn:x' a='&lt;'>a&lt;b</x><y xmlns='urn:y'/></iq>", string(made.Append(nil, "")))
	if len(made.Children()) != 2 {
		t.Error("children are not indexed")
	}
}

func TestChild(t *testing.T) {
	t.Parallel()
	s := parse(t, "<iq type='get' id='1' xmlns:p='urn:p'><p:x a='1' b=\"2'&quot;\" p:c='3'>t<!"+"[CDATA[u]]>v</p:x></iq>")
	c := s.Children()[0]
	if c.Attr("a") != "1" || c.Attr("b") != `2'"` || c.Attr("c") != "" || c.Text() != "tuv" {
		t.Errorf("a=%q b=%q c=%q text %q", c.Attr("a"), c.Attr("b"), c.Attr("c"), c.Text())
	}
	var v struct {
		A string `xml:"a,attr"`
		C string `xml:"urn:p c,attr"`
		T string `xml:",chardata"`
	}
	if err := c.Decode(&v); err != nil || v.A != "1" || v.C != "3" || v.T != "tuv" {
		t.Errorf("decoded %+v, %v", v, err)
	}
	empty := parse(t, "<iq><x xmlns='urn:x'/></iq>").Children()[0]
	if empty.Text() != "" || empty.Attr("a") != "" {
		t.Error("an empty child has content")
	}
}

func TestPayload(t *testing.T) {
	t.Parallel()
	for _, text := range withCases {
		s := parse(t, text)
		fromTokens, err := mux.FromTokens(xml.StartElement{Name: name("jabber:client", "message")}, xmlstream.MultiReader(s.Payload(), xmlstream.Token(xml.EndElement{Name: name("jabber:client", "message")})))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		same(t, text, text, string(fromTokens.Append(nil, "")))
		if strings.Contains(string(s.Append(nil, "")), "xmlns:xmlns") {
			t.Error(s)
		}
	}
}

// Streams may allow more than the default, and what came in can be looked into.
func TestLargeChild(t *testing.T) {
	t.Parallel()
	s := parse(t, "<iq xmlns='jabber:client'><x xmlns='urn:x'><y>"+strings.Repeat("z", 300<<10)+"</y></x></iq>")
	x, err := s.Children()[0].Element()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(x.Children()[0].Text()); n != 300<<10 {
		t.Errorf("%d octets", n)
	}
}
