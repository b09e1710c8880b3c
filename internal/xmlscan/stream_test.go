package xmlscan

import (
	"strings"
	"testing"
)

func TestStream(t *testing.T) {
	t.Parallel()
	in := []byte("<?xml version='1.0' encoding=\"UTF-8\" ?>\n" + clientHeader + " \n<presence/>\t<iq id='1'><q xmlns='urn:q'>x</q></iq></stream:stream> \n")
	var s Scanner // the zero value
	want := []struct {
		kind Kind
		text string
	}{
		{Open, "<?xml version='1.0' encoding=\"UTF-8\" ?>\n" + clientHeader},
		{Space, " \n"}, {Element, "<presence/>"}, {Space, "\t"}, {Element, "<iq id='1'><q xmlns='urn:q'>x</q></iq>"},
		{Close, "</stream:stream>"}, {Space, " \n"},
	}
	for _, w := range want {
		kind, n, err := s.Next(in)
		if kind != w.kind || err != nil || string(in[:n]) != w.text {
			t.Fatalf("got %v %q %v, want %v %q", kind, in[:n], err, w.kind, w.text)
		}
		if kind == Open {
			if got := string(s.StartTag().Of(in)); got != clientHeader {
				t.Errorf("got start tag %q", got)
			}
			if len(s.Attrs()) != 2 || len(s.Decls()) != 2 || string(s.Attrs()[0].Value.Of(in)) != "example.net" ||
				string(s.Decls()[1].Prefix.Of(in)) != "stream" || string(s.Decls()[0].Value.Of(in)) != "jabber:client" {
				t.Errorf("got %v, %v", s.Attrs(), s.Decls())
			}
			if s.Context().ContentNS() != "jabber:client" || string(s.SpaceBytes(s.Name())) != nsStreams || s.Flags() != 0 {
				t.Errorf("got content namespace %q, name %v, flags %v", s.Context().ContentNS(), s.Name(), s.Flags())
			}
		}
		if kind == Element && (s.Name().From != FromHeader || s.HeaderSpace(s.Name()) != "jabber:client" || !s.IsContent(s.Name())) {
			t.Errorf("%s: got name %v", w.text, s.Name())
		}
		in = in[n:]
	}
	if kind, n, err := s.Next(in); kind != None || n != 0 || err != nil {
		t.Errorf("at the end: got %v, %d, %v", kind, n, err)
	}
}

func TestSharedContexts(t *testing.T) {
	t.Parallel()
	const streams = "http://etherx.jabber.org/streams"
	tests := []struct {
		name, header, contentNS string
		shared                  bool
	}{
		{"client", clientHeader, "jabber:client", true},
		{"order and quotes", `<stream:stream xmlns:stream="` + streams + `" from="a" xmlns="jabber:client">`, "jabber:client", true},
		{"server", "<stream:stream xmlns='jabber:server' xmlns:stream='" + streams + "'>", "jabber:server", true},
		{"dialback", "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='" + streams + "'>", "jabber:server", true},
		{"component", "<stream:stream xmlns='jabber:component:accept' xmlns:stream='" + streams + "'>", "jabber:component:accept", true},
		{"unusual prefix", "<s:stream xmlns='jabber:client' xmlns:s='" + streams + "'>", "jabber:client", false},
		{"additional prefix", "<stream:stream xmlns='jabber:client' xmlns:x='urn:x' xmlns:stream='" + streams + "'>", "jabber:client", false},
		{"no default", "<stream:stream xmlns:stream='" + streams + "'>", "", false},
		{"streams as default", "<stream xmlns:c='jabber:client' xmlns='" + streams + "'>", streams, false},
	}
	for _, tc := range tests {
		var a, b Scanner
		for _, s := range []*Scanner{&a, &b} {
			if kind, _, err := s.Next([]byte(tc.header)); kind != Open || err != nil {
				t.Fatalf("%s: got %v, %v", tc.name, kind, err)
			}
		}
		if got := a.Context() == b.Context(); got != tc.shared {
			t.Errorf("%s: shared %v, want %v", tc.name, got, tc.shared)
		}
		if got := a.Context().ContentNS(); got != tc.contentNS {
			t.Errorf("%s: got content namespace %q, want %q", tc.name, got, tc.contentNS)
		}
	}
}

// TestResume moves a stream from scanner to scanner, as a pool does.
func TestResume(t *testing.T) {
	t.Parallel()
	var first, pooled Scanner
	header := "<s:stream xmlns='jabber:client' xmlns:x='urn:x' xmlns:s='http://etherx.jabber.org/streams'>"
	if kind, _, err := first.Next([]byte(header)); kind != Open || err != nil {
		t.Fatalf("got %v, %v", kind, err)
	}
	pooled.ResetFramed(Limits{})
	if _, _, err := pooled.Next([]byte("<half")); err == nil {
		t.Fatal("half a message accepted")
	}
	pooled.Resume(first.Context(), Limits{})
	in := []byte("<x:y/></s:stream>")
	kind, n, err := pooled.Next(in)
	if kind != Element || err != nil || string(pooled.SpaceBytes(pooled.Name())) != "urn:x" || pooled.Flags() != FlagHeaderPrefix {
		t.Fatalf("got %v, %v, %v, flags %v", kind, err, pooled.Name(), pooled.Flags())
	}
	if kind, _, err := pooled.Next(in[n:]); kind != Close || err != nil {
		t.Fatalf("got %v, %v", kind, err)
	}
	pooled.Resume(nil, Limits{})
	if kind, _, err := pooled.Next([]byte(clientHeader)); kind != Open || err != nil {
		t.Fatalf("got %v, %v", kind, err)
	}
}

func TestFramed(t *testing.T) {
	t.Parallel()
	var s Scanner
	s.ResetFramed(Limits{})
	if got := s.Context().ContentNS(); got != "jabber:client" {
		t.Errorf("got content namespace %q", got)
	}
	for i, in := range []string{
		"<?xml version='1.0'?> <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.net' version='1.0'/>",
		"<message xmlns='jabber:client'><body>hi</body></message>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>",
	} {
		kind, n, err := s.Next([]byte(in))
		if kind != Element || n != len(in) || err != nil || s.Flags() != 0 || s.Name().From != FromHere {
			t.Errorf("%s: got %v, %d, %v, flags %v", in, kind, n, err, s.Flags())
		}
		if i > 0 && s.StartTag().Off != 0 {
			t.Errorf("%s: got start tag %v", in, s.StartTag())
		}
	}
	if _, _, err := s.Next([]byte("<?xml version='1.0'?><a/>")); err == nil || err.(*Error).Reason != MisplacedDecl {
		t.Errorf("second declaration: got %v", err)
	}
	s.Resume(s.Context(), Limits{})
	if _, _, err := s.Next([]byte("<a/><b/>")); err == nil || err.(*Error).Reason != Trailing {
		t.Errorf("resumed: got %v", err)
	}
}

// TestKeepsBounded checks that a pooled scanner does not keep what one big
// element made it grow to.
func TestKeepsBounded(t *testing.T) {
	t.Parallel()
	s := newTestScanner(t, "in", Limits{})
	in := []byte("<a xmlns='&#117;" + strings.Repeat("x", 5000) + "'>" + strings.Repeat("<b/>", 5000) + "</a>")
	if kind, _, err := s.Next(in); kind != Element || err != nil || len(s.Children()) != 5000 {
		t.Fatalf("got %v, %v", kind, err)
	}
	s.Resume(s.Context(), Limits{})
	if cap(s.children) > keepChildren || cap(s.side) > keepSide || s.buf != nil {
		t.Errorf("kept %d children, %d bytes", cap(s.children), cap(s.side))
	}
}

func TestDefaultLimits(t *testing.T) {
	t.Parallel()
	s := newTestScanner(t, "in", Limits{})
	deep := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	for _, tc := range []struct {
		name, in string
		want     Reason
	}{
		{"depth 64", deep(64), Unspecified},
		{"depth 65", deep(65), LimitDepth},
		{"256 KiB", "<a>" + strings.Repeat("x", DefaultBytes-7) + "</a>", Unspecified},
		{"256 KiB and 1", "<a>" + strings.Repeat("x", DefaultBytes-6) + "</a>", LimitBytes},
		{"name of 256", "<" + strings.Repeat("x", 256) + "/>", Unspecified},
		{"name of 257", "<" + strings.Repeat("x", 257) + "/>", LimitName},
		{"10 000 elements", "<a>" + strings.Repeat("<b/>", 9999) + "</a>", Unspecified},
		{"10 001 elements", "<a>" + strings.Repeat("<b/>", 10000) + "</a>", LimitElements},
	} {
		s.Resume(s.Context(), Limits{Bytes: -1})
		_, _, err := s.Next([]byte(tc.in))
		switch {
		case tc.want == Unspecified && err != nil, tc.want != Unspecified && err == nil:
			t.Errorf("%s: got %v", tc.name, err)
		case err != nil && err.(*Error).Reason != tc.want:
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}
