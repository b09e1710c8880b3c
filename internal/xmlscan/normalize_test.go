package xmlscan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, head, in string
		flags          Flags
		want           string // normalised
	}{
		{"plain", "in", `<message><body>x</body></message>`, 0, ""},
		{"payload", "in", `<message><x xmlns='urn:x' a='b'><y/></x></message>`, 0, ""},
		{"own prefix", "in", `<message><p:x xmlns:p='urn:x'><p:y/></p:x></message>`, 0, ""},
		{"no namespace", "in", `<message><x xmlns=''/></message>`, 0, ""},
		{"top as of the stream", "in", `<message xmlns='jabber:client'><body>x</body></message>`, 0, ""},
		{"top framed", "ws", `<message xmlns='jabber:client'><body>x</body></message>`, 0, ""},
		{"forwarded", "in", `<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body/></message></forwarded></message>`, 0, ""},
		{"xml prefix", "in", `<message xml:lang='en'/>`, 0, ""},
		{"top of another stream", "in", `<message xmlns='jabber:server'><body/></message>`, FlagContentNS, `<message><body/></message>`},
		{"top of another stream, framed", "ws", `<message xmlns='jabber:server'><body/></message>`, FlagContentNS, `<message xmlns='jabber:client'><body/></message>`},
		{"body declares it again", "in", `<message><body xmlns='jabber:client'>x</body></message>`, FlagContentNS, `<message><body>x</body></message>`},
		{"body declares another", "in", `<message><body xmlns='jabber:server'>x</body></message>`, FlagContentNS, `<message><body>x</body></message>`},
		{"forwarded from another", "in", `<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:server'><body/></message></forwarded></message>`,
			FlagContentNS, `<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body/></message></forwarded></message>`},
		{"prefix", "in", `<c:message xmlns:c='jabber:client' to='x'><c:body>x</c:body></c:message>`, FlagContentNS, `<message to='x'><body>x</body></message>`},
		{"prefix, framed", "ws", `<c:message xmlns:c='jabber:client'><c:body>x</c:body></c:message>`, FlagContentNS, `<message xmlns='jabber:client'><body>x</body></message>`},
		{"prefix in payload", "in", `<message><x xmlns='urn:x' xmlns:c='jabber:client'><c:body/><y/></x></message>`, FlagContentNS,
			`<message><x xmlns='urn:x'><body xmlns='jabber:client'/><y/></x></message>`},
		{"unused prefix", "in", `<message xmlns:c='jabber:client'/>`, FlagContentNS, `<message/>`},
		{"default hidden", "in", `<message><c:x xmlns:c='jabber:client' xmlns='urn:x'><y><c:z/></y></c:x></message>`, FlagContentNS,
			`<message><x xmlns:d2='urn:x'><d2:y><z/></d2:y></x></message>`},
		{"stream prefix", "in", `<stream:error><x xmlns='urn:x'/></stream:error>`, FlagHeaderPrefix,
			`<stream:error xmlns:stream='http://etherx.jabber.org/streams'><x xmlns='urn:x'/></stream:error>`},
		{"stream prefix inside", "in", `<message><x xmlns='urn:x' stream:y='z'/></message>`, FlagHeaderPrefix,
			`<message xmlns:stream='http://etherx.jabber.org/streams'><x xmlns='urn:x' stream:y='z'/></message>`},
		{"stream prefix redeclared", "in", `<message><stream:y xmlns:stream='urn:x'/></message>`, 0, ""},
		{"reference in namespace", "in", `<message><x xmlns='urn&#58;x'/></message>`, FlagSide, `<message><x xmlns='urn:x'/></message>`},
		{"text kept", "in", `<message><body xmlns='jabber:client'>&lt;<![CDATA[<x:y>]]>]]&gt;</body></message>`, FlagContentNS,
			`<message><body>&lt;<![CDATA[<x:y>]]>]]&gt;</body></message>`},
	} {
		s := newTestScanner(t, tc.head, Limits{})
		kind, n, err := s.Next([]byte(tc.in))
		if kind != Element || err != nil {
			t.Errorf("%s: got %v, %v", tc.name, kind, err)
			continue
		}
		if s.Flags() != tc.flags {
			t.Errorf("%s: got flags %b, want %b", tc.name, s.Flags(), tc.flags)
		}
		want := tc.want
		if want == "" {
			continue
		}
		if got := string(s.AppendNormalized([]byte("kept"), []byte(tc.in)[:n])); got != "kept"+want {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.name, got, want)
		}
	}
}

// neutral writes down an element with the content namespaces held to be one.
func neutral(n *node) string {
	if isContent(n.name.Space) {
		n.name.Space = "content"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<%v %q %q", n.name, n.attrs, n.text)
	for _, c := range n.children {
		b.WriteString(neutral(c))
	}
	return b.String() + ">"
}

// unusualHeader binds prefixes and a default that elements come to depend on.
const unusualHeader = `<stream:stream xmlns='urn:d' xmlns:c='jabber:server' xmlns:d1='urn:d1' xmlns:p='urn:p' xmlns:stream='http://etherx.jabber.org/streams'>`

func checkNormalized(t *testing.T, header string, in []byte) {
	t.Helper()
	var s Scanner
	if header == "" {
		s.ResetFramed(Limits{})
	} else if kind, _, err := s.Next([]byte(header)); kind != Open || err != nil {
		t.Fatal(kind, err)
	}
	kind, n, err := s.Next(in)
	if kind != Element || err != nil {
		return
	}
	in = in[:n]
	flags := s.Flags()
	out := s.AppendNormalized(nil, in)
	if len(out) > 20*len(in)+1000 {
		t.Fatalf("%d bytes from %d", len(out), len(in))
	}
	s.Resume(s.Context(), Limits{Namespaces: 1 << 20, NameBytes: 1 << 20})
	kind, n, err = s.Next(out)
	if kind != Element || n != len(out) || err != nil {
		t.Fatalf("%q becomes %q: got %v, %d, %v", in, out, kind, n, err)
	}
	unavoidable := Flags(0)
	if flags&FlagSide != 0 {
		unavoidable = FlagSide
	}
	if s.Flags()&^unavoidable != 0 {
		t.Fatalf("%q becomes %q: flags %b", in, out, s.Flags())
	}
	before, err1 := decode(header, in)
	after, err2 := decode(header, out)
	if err1 != nil || err2 != nil {
		t.Fatalf("%q becomes %q: %v, %v", in, out, err1, err2)
	}
	if a, b := neutral(before), neutral(after); a != b {
		t.Fatalf("%q becomes %q:\ngot  %s\nwant %s", in, out, b, a)
	}
	// What is normal stays as it is.
	if again := s.AppendNormalized(nil, out); flags != 0 && !slices.Equal(again, out) {
		t.Fatalf("%q becomes %q becomes %q", in, out, again)
	}
}

// FuzzNormalize: a rewritten element is the same one and has no flags.
func FuzzNormalize(f *testing.F) {
	addSeeds(f)
	f.Add([]byte(`<p:a><c:b xmlns='urn:e'><f><c:g/></f></c:b><d1:h/><i/></p:a>`))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, header := range []string{clientHeader, strings.Replace(clientHeader, "jabber:client", "jabber:server", 1), unusualHeader, ""} {
			checkNormalized(t, header, in)
		}
	})
}
