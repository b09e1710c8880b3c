package mux_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
)

// tree writes what encoding/xml sees of an element, with content namespaces held
// to be one; addresses are prepared.
func tree(text string) (string, error) {
	d := xml.NewDecoder(strings.NewReader("<x xmlns='jabber:client'>" + text + "</x>"))
	var out []string
	depth := 0
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, "\n"), nil
		}
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth++
			var attrs []string
			for _, a := range t.Attr {
				if a.Name.Space == "xmlns" || a.Name.Local == "xmlns" {
					continue
				}
				v := strings.NewReplacer("\n", " ", "\t", " ", "\r", " ").Replace(a.Value)
				if depth == 3 && a.Name.Space == "" && (a.Name.Local == "to" || a.Name.Local == "from") {
					if p, err := mux.ParseAddress(v); err == nil {
						v = p.String()
					}
				}
				if v == "" && depth == 3 {
					continue // empty and absent are the same on a stanza
				}
				attrs = append(attrs, fmt.Sprintf("{%s}%s=%q", a.Name.Space, a.Name.Local, v))
			}
			slices.Sort(attrs)
			out = append(out, fmt.Sprintf("<{%s}%s %s>", content(t.Name.Space), t.Name.Local, attrs))
		case xml.EndElement:
			depth--
			out = append(out, "</>")
		case xml.CharData:
			if n := len(out) - 1; n >= 0 && out[n][0] == '"' {
				out[n] += fmt.Sprintf("%q", t)
				continue
			}
			out = append(out, fmt.Sprintf("%q", t))
		}
	}
}

func content(space string) string {
	switch space {
	case "jabber:server", "jabber:component:accept":
		return "jabber:client"
	}
	return space
}

// FuzzParse: what is parsed and written again is, for encoding/xml, the same
// element; also child by child.
func FuzzParse(f *testing.F) {
	for _, s := range withCases {
		f.Add([]byte(s))
	}
	for _, s := range []string{
		"<iq type='get' id='&#x27;' to='A@b.c/d'><q xmlns='urn:q'/></iq>",
		"<p:iq xmlns:p='jabber:server' p:x='1'><p:y/></p:iq>",
		"<message xmlns='jabber:component:accept' to='&amp;'><f xmlns='urn:f'><message xmlns='jabber:server'/></f></message>",
		"<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>",
		"<stream:features><x/></stream:features>",
		"<a xmlns='urn:a'\n b = \"'\" xml:lang='x'>&lt;<![CDATA[]]]]><![CDATA[>]]>\r\n</a>",
		"<message xml:lang='' to=''><body xml:lang='d'>\t</body></message>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := mux.Parse(raw)
		if err != nil {
			return
		}
		want, err := tree("<y xmlns:stream='http://etherx.jabber.org/streams'>" + string(raw) + "</y>")
		if err != nil {
			return // encoding/xml cannot read all that XML allows
		}
		for _, ns := range []string{"", "jabber:client"} {
			out := string(s.Append(nil, ns))
			got, err := tree("<y>" + out + "</y>")
			if err != nil {
				t.Fatalf("%q was written as %q: %v", raw, out, err)
			}
			if got != want {
				t.Fatalf("%q was written as %q\n got: %s\nwant: %s", raw, out, got, want)
			}
		}
		again, err := mux.Parse(s.Append(nil, ""))
		if err != nil {
			t.Fatalf("%q cannot be parsed again: %v", s.Append(nil, ""), err)
		}
		if len(again.Children()) != len(s.Children()) {
			t.Fatalf("%q: %d children, then %d", raw, len(s.Children()), len(again.Children()))
		}
		for i, c := range s.Children() {
			el, err := c.Element()
			if err != nil {
				t.Fatalf("%q: child %d alone: %v", raw, i, err)
			}
			if el.Name() != c.Name || again.Children()[i].Name != c.Name {
				t.Fatalf("%q: child %d is %v, alone %v, again %v", raw, i, c.Name, el.Name(), again.Children()[i].Name)
			}
			n := -1
			if rest := s.Without(func(mux.Child) bool { n++; return n == i }); len(parse(t, string(rest.Append(nil, ""))).Children()) != len(s.Children())-1 {
				t.Fatalf("%q without %d is %q", raw, i, rest.Append(nil, ""))
			}
			_, _ = c.Text(), c.Attr("a")
		}
	})
}

// FuzzAddress compares with mellium, which has no short cut for ASCII.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"", "a", "a@b", "a@b/c", "a/b@c", "@a", "a@", "a/", "A@B/C", "a@b.", "a@b..c", "a@-b", "a@b-", "a@xn--a", "a@[::1]",
		"a@127.0.0.1", "ß@straße.de/ẞ", "a b@c", "a'@b", "a@b/'", "a@b/<&\"", "a@b/ c", "a@b/c ", "a@b_c", "a@b/\x7f", strings.Repeat("a", 1024) + "@b", "a@" + strings.Repeat("a", 64) + ".de"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := mux.ParseAddress(s)
		j, jerr := jid.Parse(s)
		if jerr == nil {
			again, err := jid.Parse(j.String())
			if err != nil || again.String() != j.String() {
				jerr = errors.New("preparing it again gives something else")
			}
		}
		if (err == nil) != (jerr == nil) {
			t.Fatalf("%q: %v, mellium says %v", s, err, jerr)
		}
		if err != nil {
			return
		}
		if a.String() != j.String() || a.Local() != j.Localpart() || a.Domain() != j.Domainpart() || a.Resource() != j.Resourcepart() {
			t.Fatalf("%q: %q %q %q, mellium says %q", s, a.Local(), a.Domain(), a.Resource(), j)
		}
		if b := a.Bare(); b.String() != j.Bare().String() || !b.IsBare() || b.Bare() != b {
			t.Fatalf("%q: bare form %q", s, b)
		}
		if again, err := mux.ParseAddress(a.String()); err != nil || again != a {
			t.Fatalf("%q: preparing %q again gives %q, %v", s, a, again, err)
		}
		if mux.AddressOf(j) != a || a.JID().String() != j.String() {
			t.Fatalf("%q: conversions give %q and %q", s, mux.AddressOf(j), a.JID())
		}
		wire := mux.Make(mux.Head{Kind: mux.Message, To: a}).Append(nil, "")
		if p, err := mux.Parse(wire); err != nil || p.To() != a {
			t.Fatalf("%q was written as %q", s, wire)
		}
		if r := a.Resource(); r != "" {
			if full, err := a.Bare().WithResource(r); err != nil || full != a {
				t.Fatalf("%q: with its resource %q, %v", s, full, err)
			}
		}
	})
}
