package xmlwrite

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// events writes down a token stream with namespaces resolved as AppendTokens
// documents it, without declarations.
func events(r xml.TokenReader, ns string) ([]string, error) {
	var out []string
	spaces := []string{ns}
	for {
		tok, err := r.Token()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			space, attrs := tok.Name.Space, []string{}
			explicit := false
			for _, a := range tok.Attr {
				switch {
				case a.Name == xml.Name{Local: "xmlns"}:
					explicit = explicit || a.Value == ""
				case a.Name.Space != "xmlns":
					attrs = append(attrs, fmt.Sprintf("%q=%q", a.Name, a.Value))
				}
			}
			if space == "" && !explicit {
				space = spaces[len(spaces)-1]
			}
			spaces = append(spaces, space)
			slices.Sort(attrs)
			out = append(out, fmt.Sprintf("<%q %s %q>", space, tok.Name.Local, attrs))
		case xml.EndElement:
			spaces = spaces[:len(spaces)-1]
			out = append(out, "</>")
		case xml.CharData:
			if len(spaces) == 1 || len(tok) == 0 {
				continue
			}
			if n := len(out) - 1; strings.HasPrefix(out[n], "text ") {
				out[n] += string(tok)
			} else {
				out = append(out, "text "+string(tok))
			}
		}
	}
}

// FuzzRoundTrip: what was decoded, written and decoded again is the same, and
// xmlscan accepts it.
func FuzzRoundTrip(f *testing.F) {
	for _, tc := range written {
		if tc.want != "" {
			f.Add(tc.want)
		}
	}
	for _, s := range []string{
		`<a xmlns:p="urn:p" p:b="1"><c xmlns:p="urn:q" p:d="2"><e xmlns:p="urn:p" p:f="3"/></c></a>`,
		`<p:a xmlns:p="x" xmlns:ns0="y" ns0:b="1" p:b="2"><ns1:c xmlns:ns1="z" ns1:d=""/></p:a>`,
		"<a b='x&#10;y'>\r\n<![CDATA[]]>]]&gt;<![CDATA[<]]></a>", `<a xmlns="u"><b xmlns=""><c/></b></a>`, `<a xmlns="urn:'&lt;&amp;&quot;&#9;>"/>`, "<a>\x01</a>", "<a:b:c/>", `<!-- x --><a/>`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		want, err := events(decoded(in), "jabber:client")
		if err != nil {
			return
		}
		out, err := AppendTokens(nil, decoded(in), "jabber:client")
		if err != nil {
			if out != nil {
				t.Fatalf("%q: %q with an error", in, out)
			}
			return
		}
		checkScans(t, out)
		// The default namespace of the place is that of an element around it.
		got, err := events(decoded("<w xmlns='jabber:client'>"+string(out)+"</w>"), "")
		if err != nil {
			t.Fatalf("%q becomes %q: %v", in, out, err)
		}
		got = got[1 : len(got)-1]
		if !slices.Equal(got, want) {
			t.Fatalf("%q becomes %q:\ngot  %v\nwant %v", in, out, got, want)
		}
	})
}

// FuzzStrings: any string that ValidText lets pass comes back unchanged.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{"", "plain", "]]>", "&<>'\"\t\r\n", "\x00", "\ufffe", "\ufffd", "\xff", "😀", "\x7f\u0085"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := append(AppendAttrValue([]byte("<a b='"), s), "'>"...)
		out = append(AppendText(out, s), "</a>"...)
		var got struct {
			B    string `xml:"b,attr"`
			Text string `xml:",chardata"`
		}
		err := xml.Unmarshal(out, &got)
		if valid := err == nil; valid != ValidText(s) {
			t.Fatalf("%q: ValidText says %v, the decoder %v", s, ValidText(s), err)
		}
		if err == nil && (got.B != s || got.Text != s) {
			t.Fatalf("%q becomes %q", s, out)
		}
	})
}

func BenchmarkAppendTokens(b *testing.B) {
	tokens := []xml.Token{
		el("", "iq", at("", "type", "result"), at("", "id", "1"), at("", "to", "romeo@example.net/orchard")),
		el("jabber:iq:roster", "query"),
		el("", "item", at("", "jid", "juliet@example.net"), at("", "subscription", "both")), el("", "item").End(),
		el("jabber:iq:roster", "query").End(), el("", "iq").End(),
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = AppendTokens(out[:0], reader(tokens...), "jabber:client"); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(out)))
}
