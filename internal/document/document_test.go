package document

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

const card = `<v:card xmlns:v="urn:v" xmlns:z="urn:z" z:a="1" xml:lang="de" b="2"><v:fn><v:text>A &amp; B</v:text></v:fn> text
<x xmlns="urn:x" z:q="3">kept<y/></x><v:tel>1</v:tel><v:tel>2</v:tel><none xmlns=""/></v:card>`

func written(t *testing.T, d *Document) string {
	t.Helper()
	b, err := xmlwrite.AppendTokens(nil, d.TokenReader(), "urn:v")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func read(t *testing.T, text string) *Document {
	t.Helper()
	d := new(Document)
	if err := xml.NewDecoder(strings.NewReader(text)).Decode(d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDocument(t *testing.T) {
	t.Parallel()
	d := read(t, card)
	const whole = `<card xmlns:ns1='urn:z' ns1:a='1' xml:lang='de' b='2'>`
	if got := written(t, d); strings.Count(got, "kept<y/>") != 1 || !strings.Contains(got, "A &amp; B") || !strings.HasPrefix(got, "<card ") {
		t.Errorf("written %s, as in %s", got, whole)
	}
	again := read(t, strings.Replace(written(t, d), "<card", "<card xmlns='urn:v'", 1))
	if a, b := written(t, d), written(t, again); a != b {
		t.Errorf("first %s\nthen  %s", a, b)
	}
	tel := xml.Name{Space: "urn:v", Local: "tel"}
	if l := d.All(tel); len(l) != 2 || l[0].Text() != "1" || l[1].Text() != "2" {
		t.Errorf("tel %v", l)
	}
	p, err := Text("urn:v", "3 < 4", "tel", "uri")
	if err != nil {
		t.Fatal(err)
	}
	d.Put(tel, p)
	if l := d.All(tel); len(l) != 1 || l[0].Text("uri") != "3 < 4" {
		t.Errorf("tel %v", l)
	}
	if d.Parts[2].Name != tel || len(d.Parts) != 4 || d.Parts[1].Name.Space != "urn:x" {
		t.Errorf("parts %v", d.Parts)
	}
	d.Put(tel)
	if len(d.All(tel)) != 0 || len(d.Parts) != 3 {
		t.Errorf("parts %v", d.Parts)
	}
	d.Put(tel, p, p)
	if len(d.All(tel)) != 2 || d.Parts[4].Name != tel {
		t.Errorf("parts %v", d.Parts)
	}
	if _, err := Text("urn:v", "\x01", "tel"); err == nil {
		t.Error("a control character")
	}
	var v struct {
		URI string `xml:"urn:v uri"`
	}
	if err := p.Decode(&v); err != nil || v.URI != "3 < 4" {
		t.Errorf("decoded %+v, error %v", v, err)
	}
}

func TestPartText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ raw, path, want string }{
		{"<a>x<b>y</b>z</a>", "", "xz"},
		{"<a>x<b>y</b>z</a>", "b", "y"},
		{"<a>x<b>y</b><b>z</b></a>", "b", "y"},
		{"<a><c><b>y</b></c><b>z</b></a>", "b", "z"},
		{"<a><c><b>y</b></c><b>z</b></a>", "c b", "y"},
		{"<a><c/><c><b>y</b></c></a>", "c b", "y"},
		{"<a><c>1</c></a>", "c b", ""},
		{"<a/>", "", ""},
	} {
		p, err := NewPart(reader(tt.raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Text(strings.Fields(tt.path)...); got != tt.want {
			t.Errorf("%s, %q: %q, want %q", tt.raw, tt.path, got, tt.want)
		}
	}
}
