package avatar

import (
	"encoding/xml"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

func TestParseMetadata(t *testing.T) {
	t.Parallel()
	const open, end = "<metadata xmlns='urn:xmpp:avatar:metadata'>", "</metadata>"
	png := Info{ID: "a1", Type: "image/png", Bytes: 5, Width: 64, Height: 32}
	for name, tt := range map[string]struct {
		in   string
		want Metadata
		off  bool
		id   string // of the form in the data node
	}{
		"one":               {open + "<info bytes='5' id='a1' type='image/png' width='64' height='32'/>" + end, Metadata{Infos: []Info{png}}, false, "a1"},
		"off":               {open + end, Metadata{}, true, ""},
		"self-closing":      {"<metadata xmlns='urn:xmpp:avatar:metadata'/>", Metadata{}, true, ""},
		"the old stop":      {open + "<stop/>" + end, Metadata{}, true, ""},
		"text and others":   {open + "text<x xmlns='urn:x'><info/></x>" + end, Metadata{}, true, ""},
		"only elsewhere":    {open + "<info id='b' type='image/gif' url='https://x/'/>" + end, Metadata{Infos: []Info{{ID: "b", Type: "image/gif", URL: "https://x/"}}}, false, ""},
		"elsewhere first":   {open + "<info id='b' url='https://x/'/><info bytes='5' id='a1' type='image/png' width='64' height='32'/>" + end, Metadata{Infos: []Info{{ID: "b", URL: "https://x/"}, png}}, false, "a1"},
		"a pointer":         {open + "<pointer><x xmlns='urn:x'/></pointer>" + end, Metadata{Pointer: true}, false, ""},
		"no id":             {open + "<info type='image/png' bytes='5'/>" + end, Metadata{Pointer: true}, false, ""},
		"not a number":      {open + "<info id='a' type='image/png' bytes='-5'/>" + end, Metadata{Pointer: true}, false, ""},
		"too large":         {open + "<info id='a' type='image/png' width='99999999999'/>" + end, Metadata{Pointer: true}, false, ""},
		"foreign attribute": {open + "<info id='a' x:url='u' xmlns:x='urn:x'/>" + end, Metadata{Infos: []Info{{ID: "a"}}}, false, "a"},
	} {
		got, err := parseMetadata(tt.in)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, error %v, want %+v", name, got, err, tt.want)
		}
		if info, ok := got.Stored(); got.Off() != tt.off || ok != (tt.id != "") || info.ID != tt.id {
			t.Errorf("%s: off %v, in the data node %+v", name, got.Off(), info)
		}
	}
	for _, in := range []string{"", "<metadata/>", "<metadata xmlns='urn:x'/>", "<data xmlns='urn:xmpp:avatar:metadata'/>", open, open + "<info"} {
		if got, err := parseMetadata(in); err == nil {
			t.Errorf("%q: got %+v", in, got)
		}
	}
}

func TestWriteMetadata(t *testing.T) {
	t.Parallel()
	m := Metadata{Infos: []Info{{ID: "a<'&", Type: "image/png", Bytes: 5}, {ID: "b", URL: "https://x/?a&b", Width: 1, Height: 2}, {ID: "c", Type: "\x01"}}}
	got, err := parseMetadata(string(m.raw()))
	m.Infos[2].Type = "" // cannot be written
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, error %v", got, err)
	}
	var b strings.Builder
	for r := m.TokenReader(); ; {
		tok, err := r.Token()
		if start, ok := tok.(xml.StartElement); ok {
			b.WriteString(start.Name.Local + " ")
		}
		if err == io.EOF || tok == nil {
			break
		}
	}
	if b.String() != "metadata info info info " {
		t.Errorf("tokens %q", b.String())
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	const hash = "e4b76f01b504c446cc5369478587ea4fbdd6d123"
	data := func(text string) string { return "<data xmlns='urn:xmpp:avatar:data'>" + text + "</data>" }
	for _, tt := range []struct {
		id, payload string
		want        bool
	}{
		{hash, data("iVBORw0KGgpvbmU="), true},
		{strings.ToUpper(hash), data("iVBORw0KGgpvbmU="), true},
		{hash, data(" iVBOR\n\tw0KGgp\r\nvbmU= "), true}, // AV-3
		{hash, data("<![CDATA[iVBORw0KGgpvbmU=]]>"), true},
		{hash, data("iVBORw0KGgpvbmU"), true},
		{"current", data("iVBORw0KGgpvbmU="), false}, // AV-9
		{hash, data("iVBORw0KGgp0d28="), false},
		{hash, data("iVBORw0KGgpvbmU*"), false},
		{hash, data(""), false},
		{hash, "<data>iVBORw0KGgpvbmU=</data>", false},
		{hash, "", false},
	} {
		if image, got, ok := matches(tt.id, tt.payload); ok != tt.want || ok && (got != hash || string(image) != "\x89PNG\r\n\x1a\none") {
			t.Errorf("%s %s: got %q %s %v", tt.id, tt.payload, image, got, ok)
		}
	}
}

func TestMediaType(t *testing.T) {
	t.Parallel()
	for _, tt := range [][3]string{
		{"image/png", "", "image/png"}, {" IMAGE/PNG\n", "", "image/png"}, {"image/svg+xml", "", "image/svg+xml"},
		{"", "\x89PNG\r\n\x1a\n...", "image/png"}, {"PNG", "\xff\xd8\xff\xe0", "image/jpeg"}, {"image/", "GIF89a", "image/gif"},
		{"", "RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"}, {"text/html", "<html>", ""}, {"image/a b", "x", ""}, {"", "", ""}, {"image/<", "", ""},
	} {
		if got := mediaType(tt[0], []byte(tt[1])); got != tt[2] {
			t.Errorf("%q %q: got %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}

// TestAdd: every line of XEP-0398 §4 (pep AV-8, AV-10).
func TestAdd(t *testing.T) {
	t.Parallel()
	const (
		none, ready = "<x xmlns='vcard-temp:x:update'><photo/></x>", "<x xmlns='vcard-temp:x:update'/>"
		h           = "<x xmlns='vcard-temp:x:update'><photo>e4b7</photo></x>"
		other       = "<x xmlns='vcard-temp:x:update'><photo>0123</photo></x>"
	)
	hash, off, unknown := photo{true, "e4b7"}, photo{known: true}, photo{}
	for _, tt := range []struct {
		in   string
		with photo
		want string
		how  manner
	}{
		{"", hash, h, ours}, {"", off, none, ours}, {"", unknown, "", left},
		{ready, hash, h, ours}, {ready, off, none, ours}, {ready, unknown, ready, left},
		{none, hash, none, empty}, {none, off, none, empty}, {none, unknown, none, empty},
		{other, hash, h, ours}, {other, off, none, ours}, {other, unknown, other, left},
		{h, hash, h, left},
		{"<x xmlns='vcard-temp:x:update'><photo> \n</photo></x>", hash, "<x xmlns='vcard-temp:x:update'><photo> \n</photo></x>", empty},
		{"<x xmlns='vcard-temp:x:update'><photo><y xmlns='urn:y'/></photo></x>", hash, h, ours},
		{"<x xmlns='vcard-temp:x:update'><photo xmlns='urn:y'>z</photo></x>", hash, h, ours},
		{ready + other, hash, h, ours},
		{"<v:x xmlns:v='vcard-temp:x:update'><v:photo>e4b7</v:photo></v:x>", hash, "<v:x xmlns:v='vcard-temp:x:update'><v:photo>e4b7</v:photo></v:x>", left},
		{"<x xmlns='http://jabber.org/protocol/muc'/>", hash, "<x xmlns='http://jabber.org/protocol/muc'/>" + h, ours},
	} {
		parse := func(inner string) *mux.Stanza {
			s, err := mux.Parse([]byte("<presence><show>away</show>" + inner + "</presence>"))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		in := parse(tt.in)
		got, how := tt.with.add(in)
		if how != tt.how || string(got.Append(nil, "")) != string(parse(tt.want).Append(nil, "")) {
			t.Errorf("%s with %v: got %s, %d", tt.in, tt.with, got.Append(nil, ""), how)
		}
		if string(in.Append(nil, "")) != string(parse(tt.in).Append(nil, "")) {
			t.Errorf("%s was changed", tt.in)
		}
		if again, how := tt.with.add(got); again != got || how == ours {
			t.Errorf("%s with %v: changed again into %s", tt.in, tt.with, again.Append(nil, ""))
		}
	}
}

func TestPicture(t *testing.T) {
	t.Parallel()
	const b = "iVBORw0KGgpvbmU="
	for _, tt := range []struct {
		inner      string
		there      bool
		typ        string
		stripped   string // the card without it
		known, any bool   // what presence says of it as it is
	}{
		{"<FN>x</FN><PHOTO><TYPE>image/gif</TYPE><BINVAL>" + b + "</BINVAL></PHOTO>", true, "image/gif", "<vCard xmlns='vcard-temp'><FN>x</FN></vCard>", true, true},
		{"<PHOTO><BINVAL>" + b + "</BINVAL></PHOTO>", true, "image/png", "", true, true},
		{"<PHOTO><BINVAL>bm8=</BINVAL></PHOTO>", true, "", "", false, false},
		{"<PHOTO><TYPE>image/png</TYPE><BINVAL>*</BINVAL></PHOTO>", true, "", "", false, false},
		{"<PHOTO><EXTVAL>https://x/</EXTVAL></PHOTO>", true, "", "", false, false},
		{"<PHOTO/><FN>x</FN>", false, "", "<vCard xmlns='vcard-temp'><FN>x</FN></vCard>", true, false},
		{"<PHOTO><TYPE>image/png</TYPE><BINVAL> </BINVAL></PHOTO>", false, "", "", true, false},
		{"<PHOTO/><PHOTO><TYPE>image/gif</TYPE><BINVAL>" + b + "</BINVAL></PHOTO>", true, "image/gif", "", true, true},
		{"<PHOTO xmlns='urn:x'><BINVAL>" + b + "</BINVAL></PHOTO>", false, "", "<vCard xmlns='vcard-temp'><PHOTO xmlns='urn:x'><BINVAL>" + b + "</BINVAL></PHOTO></vCard>", true, false},
	} {
		card := mux.Raw("<vCard xmlns='vcard-temp'>" + tt.inner + "</vCard>")
		el, err := mux.Parse([]byte(card))
		if err != nil {
			t.Fatal(err)
		}
		p := pictureIn(el)
		if p.there != tt.there || p.typ != tt.typ || (p.image != nil) != (tt.typ != "") {
			t.Errorf("%s: got %+v", tt.inner, p)
		}
		if got := cardSays(card); got.known != tt.known || (got.hash != "") != tt.any {
			t.Errorf("%s: presence says %+v", tt.inner, got)
		}
		if got, err := withPicture(card, "", nil); err != nil || string(got) != tt.stripped {
			t.Errorf("%s: stripped %s, error %v", tt.inner, got, err)
		}
		got, err := withPicture(card, "a<b", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		el, err = mux.Parse([]byte(got))
		if err != nil || !strings.HasSuffix(string(got), "<PHOTO xmlns='vcard-temp'><TYPE>a&lt;b</TYPE><BINVAL>eA==</BINVAL></PHOTO></vCard>") {
			t.Errorf("%s: got %s, error %v", tt.inner, got, err)
		}
		if p := pictureIn(el); string(p.image) != "" && tt.typ == "" { // its type is none
			t.Errorf("%s: got %+v", got, p)
		}
	}
	if got, err := withPicture("<v:vCard xmlns:v='vcard-temp'><v:FN>x</v:FN></v:vCard>", "image/png", []byte("x")); err != nil ||
		got != "<v:vCard xmlns:v='vcard-temp'><v:FN>x</v:FN><PHOTO xmlns='vcard-temp'><TYPE>image/png</TYPE><BINVAL>eA==</BINVAL></PHOTO></v:vCard>" {
		t.Errorf("got %s, error %v", got, err)
	}
	if got := cardSays(""); *got != (photo{known: true}) {
		t.Errorf("of no card: %+v", got)
	}
}

func TestSavedSession(t *testing.T) {
	t.Parallel()
	for _, s := range []*session{{}, {manner: ours, told: photo{true, "e4b7"}}, {manner: empty}, {manner: ours, told: photo{known: true}}} {
		got := new(session)
		if err := decodeSession(encodeSession(nil, s), got); err != nil || got.manner != s.manner || got.told != s.told {
			t.Errorf("%d %v: got %d %v, error %v", s.manner, s.told, got.manner, got.told, err)
		}
	}
	for _, b := range []string{"", "\x01\x01", "\x02\x01\x01", "\x01\x07\x01"} {
		if decodeSession([]byte(b), new(session)) == nil {
			t.Errorf("%q was read", b)
		}
	}
}

// TestAllocCurrent: presence that is shown to many is made once (pep AV-10).
func TestAllocCurrent(t *testing.T) {
	p, err := mux.Parse([]byte("<presence from='juliet@example.net/1'><show>away</show></presence>"))
	if err != nil {
		t.Fatal(err)
	}
	s, with := new(session), photo{true, "e4b7"}
	told, how := with.add(p)
	s.said(told, how, with)
	for _, with := range []photo{with, {true, "0123"}, {known: true}, {}} {
		want := s.current(told, &with)
		if n := testing.AllocsPerRun(100, func() {
			if s.current(told, &with) != want {
				t.Error("made again")
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", with, n)
		}
	}
}

// FuzzMetadata: whatever is published does not break anything, and what was read is
// written as what it is.
func FuzzMetadata(f *testing.F) {
	f.Add("<metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='5' id='a' type='image/png' url='https://x/'/><pointer/></metadata>")
	f.Add("<metadata xmlns='urn:xmpp:avatar:metadata'/>")
	f.Fuzz(func(t *testing.T, in string) {
		m, err := parseMetadata(in)
		metaOf("id", in)
		if err != nil {
			return
		}
		m.Pointer = false
		again, err := parseMetadata(string(m.raw()))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v became %+v, error %v", m, again, err)
		}
	})
}

// FuzzPresence: what is added leaves presence well-formed, with at most one child of that
// name that says what is known, unless the client shows none.
func FuzzPresence(f *testing.F) {
	f.Add("<presence><x xmlns='vcard-temp:x:update'><photo>0123</photo></x><x xmlns='vcard-temp:x:update'/></presence>", "e4b7")
	f.Add("<presence to='a@b'><v:x xmlns:v='vcard-temp:x:update'><v:photo/></v:x></presence>", "")
	f.Fuzz(func(t *testing.T, in, hash string) {
		s, err := mux.Parse([]byte(in))
		if err != nil || s.Kind() != mux.Presence || strings.Trim(hash, "0123456789abcdef") != "" {
			return
		}
		got, how := photo{true, hash}.add(s)
		parsed, err := mux.Parse(got.Append(nil, ""))
		if err != nil {
			t.Fatalf("%s became %s: %v", in, got.Append(nil, ""), err)
		}
		x, ok := parsed.Child(updateName)
		if !ok {
			t.Fatalf("nothing in %s", got.Append(nil, ""))
		}
		if said, ok := saidIn(x); !ok || how == empty && said != "" || how != empty && said != hash {
			t.Errorf("%s says %q", got.Append(nil, ""), said)
		}
	})
}

// FuzzCard: whatever card is set, what is kept and shown is well-formed.
func FuzzCard(f *testing.F) {
	f.Add("<vCard xmlns='vcard-temp'><FN>x</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>iVBORw0KGgpvbmU=</BINVAL></PHOTO></vCard>")
	f.Add("<v:vCard xmlns:v='vcard-temp'><v:PHOTO><v:EXTVAL>x</v:EXTVAL></v:PHOTO><PHOTO/></v:vCard>")
	f.Fuzz(func(t *testing.T, in string) {
		el, err := mux.Parse([]byte(in))
		if err != nil || el.Name() != vcardName("vCard") {
			return
		}
		c, err := mux.NewChild(el) // as package vcard keeps it
		if err != nil {
			return
		}
		pictureIn(el)
		for _, image := range [][]byte{nil, []byte("x")} {
			got, err := withPicture(mux.Raw(c.Raw()), "image/png", image)
			if err != nil {
				t.Fatal(err)
			}
			if got == "" {
				continue
			}
			again, err := mux.Parse([]byte(got))
			if err != nil {
				t.Fatalf("%s became %s: %v", in, got, err)
			}
			if p := pictureIn(again); p.there != (image != nil) {
				t.Errorf("%s became %s", in, got)
			}
		}
	})
}
