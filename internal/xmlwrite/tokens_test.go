package xmlwrite

import (
	"encoding/xml"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/internal/xmlscan"
)

func el(space, local string, attrs ...xml.Attr) xml.StartElement {
	return xml.StartElement{Name: xml.Name{Space: space, Local: local}, Attr: attrs}
}

func at(space, local, value string) xml.Attr {
	return xml.Attr{Name: xml.Name{Space: space, Local: local}, Value: value}
}

func text(s string) xml.TokenReader { return reader(xml.CharData(s)) }

// readerFunc is a token stream, as in mellium.im/xmlstream.
type readerFunc func() (xml.Token, error)

func (f readerFunc) Token() (xml.Token, error) { return f() }

// wrap puts an element around a token stream, which may be nil.
func wrap(in xml.TokenReader, start xml.StartElement) xml.TokenReader {
	tokens := []xml.Token{start}
	for in != nil {
		tok, err := in.Token()
		if tok != nil {
			tokens = append(tokens, xml.CopyToken(tok))
		}
		if err != nil {
			break
		}
	}
	return reader(append(tokens, start.End())...)
}

// reader yields tokens, the last one together with io.EOF.
func reader(tokens ...xml.Token) xml.TokenReader {
	return readerFunc(func() (xml.Token, error) {
		if len(tokens) == 0 {
			return nil, io.EOF
		}
		tok := tokens[0]
		tokens = tokens[1:]
		if len(tokens) == 0 {
			return tok, io.EOF
		}
		return tok, nil
	})
}

func decoded(s string) xml.TokenReader { return xml.NewDecoder(strings.NewReader(s)) }

// written are token streams and what they must look like in jabber:client.
var written = []struct {
	name string
	r    func() xml.TokenReader
	want string
}{
	{"nothing", func() xml.TokenReader { return reader() }, ""},
	{"stanza", func() xml.TokenReader {
		return wrap(wrap(text("a < b"), el("", "body")),
			el("", "message", at("", "type", "chat"), at("", "to", "romeo@example.net"), at("", "id", "1"), at(nsXML, "lang", "en")))
	}, `<message type='chat' to='romeo@example.net' id='1' xml:lang='en'><body>a &lt; b</body></message>`},
	{"same namespace as parent", func() xml.TokenReader {
		return wrap(wrap(nil, el("", "y")), el("urn:x", "x"))
	}, `<x xmlns='urn:x'><y/></x>`},
	{"same namespace said again", func() xml.TokenReader {
		return wrap(wrap(nil, el("urn:x", "y", at("", "xmlns", "urn:x"))), el("urn:x", "x", at("", "xmlns", "urn:x")))
	}, `<x xmlns='urn:x'><y/></x>`},
	{"namespace as attribute", func() xml.TokenReader {
		return wrap(wrap(nil, el("", "y")), el("", "x", at("", "xmlns", "urn:x"), at("", "a", "b")))
	}, `<x xmlns='urn:x' a='b'><y/></x>`},
	{"no namespace", func() xml.TokenReader {
		return wrap(wrap(nil, el("", "y")), el("", "x", at("", "xmlns", "")))
	}, `<x xmlns=''><y/></x>`},
	{"declared default is what is there", func() xml.TokenReader { return reader(el("jabber:client", "x"), el("jabber:client", "x").End()) }, `<x/>`},
	{"forwarded", func() xml.TokenReader {
		return wrap(wrap(nil, el("jabber:client", "message")), el("urn:xmpp:forward:0", "forwarded"))
	}, `<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded>`},
	{"siblings", func() xml.TokenReader {
		return reader(el("urn:x", "a"), el("urn:x", "a").End(), xml.CharData(" \n"), el("", "b"), xml.CharData(""), el("", "b").End())
	}, `<a xmlns='urn:x'/><b/>`},
	{"decoder", func() xml.TokenReader {
		return decoded(`<a xmlns="urn:x" b="&quot;'"><c xmlns="urn:y">d&amp;</c><e></e></a>`)
	},
		`<a xmlns='urn:x' b='&quot;&apos;'><c xmlns='urn:y'>d&amp;</c><e/></a>`},
	{"decoder, prefixes", func() xml.TokenReader { return decoded(`<p:a xmlns:p="urn:x" xmlns="urn:y"><b/><p:c/></p:a>`) },
		`<a xmlns='urn:x'><b xmlns='urn:y'/><c/></a>`},
	{"decoder, attribute prefix", func() xml.TokenReader {
		return decoded(`<a xmlns="urn:x" xmlns:p="urn:p" xmlns:q="urn:q"><b p:c="1" p:d="2"/><p:e p:f="3"/></a>`)
	}, `<a xmlns='urn:x'><b xmlns:p='urn:p' p:c='1' p:d='2'/><e xmlns='urn:p' xmlns:p='urn:p' p:f='3'/></a>`},
	{"attribute prefix inherited", func() xml.TokenReader {
		return decoded(`<a xmlns="urn:x" xmlns:p="urn:p" p:b="1"><c p:d="2"/></a>`)
	}, `<a xmlns='urn:x' xmlns:p='urn:p' p:b='1'><c p:d='2'/></a>`},
	{"attribute prefix taken", func() xml.TokenReader {
		return decoded(`<a xmlns:p="urn:p" p:b="1"><c xmlns:p="urn:q" p:d="2"/></a>`)
	}, `<a xmlns:p='urn:p' p:b='1'><c xmlns:ns3='urn:q' ns3:d='2'/></a>`},
	{"attribute prefix generated", func() xml.TokenReader {
		return wrap(nil, el("urn:x", "a", at("urn:p", "b", "1"), at("urn:q", "b", "2"), at("", "b", "3")))
	}, `<a xmlns='urn:x' xmlns:ns0='urn:p' ns0:b='1' xmlns:ns1='urn:q' ns1:b='2' b='3'/>`},
	{"prefixes in local names", func() xml.TokenReader {
		return wrap(nil, el("", "a", at("", "xmlns:p", "urn:p"), at("urn:p", "b", "1"), at("", "xml:lang", "en")))
	}, `<a xmlns:p='urn:p' p:b='1' xml:lang='en'/>`},
	{"xml by prefix", func() xml.TokenReader { return wrap(nil, el("", "a", at("xml", "lang", "en"))) }, `<a xml:lang='en'/>`},
	{"xml declared", func() xml.TokenReader { return wrap(nil, el("", "a", at("xmlns", "xml", nsXML))) }, `<a/>`},
	{"hostile strings", func() xml.TokenReader {
		return wrap(text("]]></a><!--\r\n&x;"), el("urn:?a&b", "a", at("", "b", "'/><c d=\"\t\n\r")))
	}, `<a xmlns='urn:?a&amp;b' b='&apos;/&gt;&lt;c d=&quot;&#x9;&#xA;&#xD;'>]]&gt;&lt;/a&gt;&lt;!--&#xD;` + "\n" + `&amp;x;</a>`},
	{"names beyond ASCII", func() xml.TokenReader { return wrap(text("€ 😀"), el("", "ä", at("", "ö", "ü"))) }, `<ä ö='ü'>€ 😀</ä>`},
	{"end by resolved name", func() xml.TokenReader { return reader(el("", "a"), el("jabber:client", "a").End()) }, `<a/>`},
	{"itself", func() xml.TokenReader { return appender{} }, `<itself/>`},
}

// appender writes itself.
type appender struct{}

func (appender) Token() (xml.Token, error)   { panic("must not be read") }
func (appender) AppendXML(dst []byte) []byte { return append(dst, "<itself/>"...) }

func TestAppendTokens(t *testing.T) {
	t.Parallel()
	for _, tc := range written {
		got, err := AppendTokens([]byte("kept"), tc.r(), "jabber:client")
		if err != nil || string(got) != "kept"+tc.want {
			t.Errorf("%s:\ngot  %s, %v\nwant %s", tc.name, got, err, tc.want)
		}
	}
	if got, err := AppendTokens(nil, reader(el("", "a"), el("", "a").End()), ""); err != nil || string(got) != "<a/>" {
		t.Errorf("without namespace: got %s, %v", got, err)
	}
	if got, err := AppendTokens(nil, reader(el("jabber:client", "a"), el("", "a")), ""); !errors.Is(err, ErrUnbalanced) || got != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestRefusals: a bad string from an upper layer does not reach the peer
// (core-im XS-13).
func TestRefusals(t *testing.T) {
	t.Parallel()
	around := func(s xml.StartElement, in ...xml.Token) xml.TokenReader {
		return reader(append(append([]xml.Token{s}, in...), s.End())...)
	}
	failure := errors.New("broken")
	for _, tc := range []struct {
		name string
		r    xml.TokenReader
		want error
	}{
		{"empty name", around(el("", "")), ErrName},
		{"name with space", around(el("", "a b='c'")), ErrName},
		{"name with markup", around(el("", "a><b")), ErrName},
		{"name with colon", around(el("", "stream:features")), ErrName},
		{"name with digit first", around(el("", "1a")), ErrName},
		{"name not UTF-8", around(el("", "a\xff")), ErrName},
		{"name xmlns", around(el("", "xmlns")), ErrName},
		{"attribute name", around(el("", "a", at("", "b='c' d", "e"))), ErrName},
		{"attribute name with prefix", around(el("", "a", at("", "b:c", "e"))), ErrName},
		{"attribute named xmlns in a namespace", around(el("", "a", at("urn:x", "xmlns", "e"))), ErrName},
		{"prefix", around(el("", "a", at("xmlns", "b='c' d", "e"))), ErrName},
		{"prefix xmlns", around(el("", "a", at("xmlns", "xmlns", nsXMLNS))), ErrName},
		{"prefix xml", around(el("", "a", at("xmlns", "xml", "urn:x"))), ErrNamespace},
		{"prefix for xml namespace", around(el("", "a", at("xmlns", "p", nsXML))), ErrNamespace},
		{"empty namespace of a prefix", around(el("", "a", at("xmlns", "p", ""))), ErrNamespace},
		{"xml namespace", around(el(nsXML, "a")), ErrNamespace},
		{"xmlns namespace", around(el(nsXMLNS, "a")), ErrNamespace},
		{"xmlns namespace on attribute", around(el("", "a", at(nsXMLNS, "p", "urn:x"))), ErrNamespace},
		{"namespace named xmlns", around(el("xmlns", "a")), ErrNamespace},
		{"content namespace on attribute", around(el("", "a", at("jabber:server", "b", "c"))), ErrNamespace},
		{"namespace with control", around(el("urn:\x01", "a")), ErrChar},
		{"attribute with control", around(el("", "a", at("", "b", "\x1b"))), ErrChar},
		{"attribute not UTF-8", around(el("", "a", at("", "b", "\xed\xa0\x80"))), ErrChar},
		{"text with NUL", around(el("", "a"), xml.CharData("\x00")), ErrChar},
		{"text with U+FFFF", around(el("", "a"), xml.CharData("\uffff")), ErrChar},
		{"text not UTF-8", around(el("", "a"), xml.CharData("\xff")), ErrChar},
		{"attribute twice", around(el("", "a", at("", "b", "1"), at("", "b", "2"))), ErrDuplicate},
		{"attribute twice in namespace", around(el("", "a", at("urn:x", "b", "1"), at("urn:x", "b", "2"))), ErrDuplicate},
		{"language twice", around(el("", "a", at("xml", "lang", "1"), at("", "xml:lang", "2"))), ErrDuplicate},
		{"comment", around(el("", "a"), xml.Comment("x")), ErrRestricted},
		{"instruction", reader(xml.ProcInst{Target: "xml", Inst: []byte("version='1.0'")}), ErrRestricted},
		{"directive", reader(xml.Directive("DOCTYPE x")), ErrRestricted},
		{"no end", reader(el("", "a")), ErrUnbalanced},
		{"no start", reader(el("", "a").End()), ErrUnbalanced},
		{"other end", reader(el("", "a"), el("", "b").End()), ErrUnbalanced},
		{"other namespace at the end", reader(el("", "a"), el("urn:x", "a").End()), ErrUnbalanced},
		{"text outside", reader(xml.CharData("x")), ErrUnbalanced},
		{"reader fails", readerFunc(func() (xml.Token, error) { return nil, failure }), failure},
		{"reader fails with a token", readerFunc(func() (xml.Token, error) { return el("", "a"), failure }), failure},
		{"reader does nothing", readerFunc(func() (xml.Token, error) { return nil, nil }), io.ErrNoProgress},
	} {
		before := []xml.Token{el("", "ok"), el("", "ok").End()}
		r := readerFunc(func() (xml.Token, error) {
			if len(before) == 0 {
				return tc.r.Token()
			}
			tok := before[0]
			before = before[1:]
			return tok, nil
		})
		got, err := AppendTokens([]byte("kept"), r, "jabber:client")
		if !errors.Is(err, tc.want) || string(got) != "kept" {
			t.Errorf("%s: got %q, %v, want %v", tc.name, got, err, tc.want)
		}
	}
}

// TestOutputs puts all outputs into one stream, for an independent parser, and
// through the scanner of peers like us.
func TestOutputs(t *testing.T) {
	t.Parallel()
	var all []byte
	for _, tc := range written {
		one, err := AppendTokens(nil, tc.r(), "jabber:client")
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		checkScans(t, one)
		all = append(all, one...)
	}
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	cmd := exec.Command(path, "--nonet", "--noout", "-")
	cmd.Stdin = strings.NewReader("<stream xmlns='jabber:client'>" + string(all) + "</stream>")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	// Namespace faults leave the status at 0 and show on standard error alone.
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v\n%s\n%s", err, stderr.String(), all)
	}
}

// checkScans gives out, content of an element, to the scanner.
func checkScans(t *testing.T, out []byte) {
	t.Helper()
	const header = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	var s xmlscan.Scanner
	s.Reset(xmlscan.Limits{Bytes: xmlscan.MaxBytes, Depth: 1 << 20, Attrs: 1 << 20, Namespaces: 1 << 20, Elements: 1 << 20, NameBytes: 1 << 20})
	if kind, _, err := s.Next([]byte(header)); kind != xmlscan.Open || err != nil {
		t.Fatal(kind, err)
	}
	in := append(append([]byte("<w>"), out...), "</w>"...)
	kind, n, err := s.Next(in)
	if kind != xmlscan.Element || n != len(in) || err != nil {
		t.Fatalf("%s: got %v, %d, %v", in, kind, n, err)
	}
	if s.Flags()&xmlscan.FlagHeaderPrefix != 0 {
		t.Fatalf("%s: depends on the stream header", in)
	}
}
