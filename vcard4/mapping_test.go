package vcard4_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/vcard4"
)

func four(inner string) mux.Raw {
	if inner == "" {
		return ""
	}
	return mux.Raw("<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>" + inner + "</vcard>")
}

func temp(inner string) mux.Raw {
	if inner == "" {
		return ""
	}
	return mux.Raw("<vCard xmlns='vcard-temp'>" + inner + "</vCard>")
}

// TestMapping: each property both ways (XEP-0292 §11). rest is what stays in the card, back
// what comes back where that is another.
func TestMapping(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ temp, four, rest, back string }{
		{"<FN>Juliet &amp; &lt;R&gt;</FN>", "<fn><text>Juliet &amp; &lt;R&gt;</text></fn>", "", ""},
		{"<N><FAMILY>C</FAMILY><GIVEN>J</GIVEN><MIDDLE/></N>", "<n><surname>C</surname><given>J</given><additional/><prefix/><suffix/></n>", "", "<N><FAMILY>C</FAMILY><GIVEN>J</GIVEN></N>"},
		{"<NICKNAME>a, b,c</NICKNAME>", "<nickname><text>a</text><text>b</text><text>c</text></nickname>", "", "<NICKNAME>a, b, c</NICKNAME>"},
		{"<BDAY>1996-06-09</BDAY>", "<bday><date>1996-06-09</date></bday>", "", ""},
		{"<BDAY>in June</BDAY>", "<bday><text>in June</text></bday>", "", ""},
		{"<ADR><HOME/><PREF/><STREET>1 x</STREET><CTRY>Italy</CTRY></ADR>",
			"<adr><parameters><type><text>home</text></type><pref><integer>1</integer></pref></parameters><pobox/><ext/><street>1 x</street><locality/><region/><code/><country>Italy</country></adr>", "", ""},
		{"<TEL><WORK/><VOICE/><NUMBER>+39-02.(1)*#</NUMBER></TEL>", "<tel><parameters><type><text>work</text><text>voice</text></type></parameters><uri>tel:+39-02.(1)*#</uri></tel>", "", ""},
		{"<TEL><MODEM/><NUMBER>1 ext 2</NUMBER></TEL>", "<tel><text>1 ext 2</text></tel>", "", "<TEL><NUMBER>1 ext 2</NUMBER></TEL>"},
		{"<EMAIL><INTERNET/><PREF/><USERID>j@example.net</USERID></EMAIL>", "<email><parameters><pref><integer>1</integer></pref></parameters><text>j@example.net</text></email>", "", "<EMAIL><PREF/><USERID>j@example.net</USERID></EMAIL>"},
		{"<JABBERID>j@example.net</JABBERID>", "<impp><uri>xmpp:j@example.net</uri></impp>", "", ""},
		{"<TITLE>Lady</TITLE><ROLE>Lover</ROLE>", "<title><text>Lady</text></title><role><text>Lover</text></role>", "", ""},
		{"<ORG><ORGNAME>House</ORGNAME><ORGUNIT>a</ORGUNIT><ORGUNIT>b</ORGUNIT></ORG>", "<org><text>House</text><text>a</text><text>b</text></org>", "", ""},
		{"<CATEGORIES><KEYWORD>x</KEYWORD><KEYWORD>y</KEYWORD></CATEGORIES>", "<categories><text>x</text><text>y</text></categories>", "", ""},
		{"<DESC>x\ny</DESC>", "<note><text>x\ny</text></note>", "", ""},
		{"<NOTE>x</NOTE>", "<note><text>x</text></note>", "", "<DESC>x</DESC>"},
		{"<URL>https://example.net/?a&amp;b</URL>", "<url><uri>https://example.net/?a&amp;b</uri></url>", "", ""},
		{"<TZ>+01:00</TZ>", "<tz><text>+01:00</text></tz>", "", ""},
		{"<PHOTO><TYPE>image/png</TYPE><BINVAL>eA==</BINVAL></PHOTO><KEY><CRED>x</CRED></KEY><x xmlns='urn:x'/>", "",
			"<PHOTO><TYPE>image/png</TYPE><BINVAL>eA==</BINVAL></PHOTO><KEY><CRED>x</CRED></KEY><x xmlns='urn:x'/>", "-"},
		{"<FN><b/></FN><FN xmlns='urn:x'>x</FN>", "", "<FN><b/></FN><FN xmlns='urn:x'>x</FN>", "-"},
		{"<FN>x</FN><UID>1</UID><URL/>", "<fn><text>x</text></fn>", "<UID>1</UID>", "<FN>x</FN><UID xmlns='vcard-temp'>1</UID>"},
		{"", "", "", "-"},
	} {
		v4, rest, err := vcard4.FromTemp(temp(tt.temp), "")
		if err != nil || v4 != four(tt.four) || rest != temp(tt.rest) {
			t.Errorf("%s: got %s and %s, error %v", tt.temp, v4, rest, err)
			continue
		}
		if tt.back == "-" {
			continue
		}
		if tt.back == "" {
			tt.back = tt.temp
		}
		if back, err := vcard4.ToTemp(v4, rest); err != nil || back != temp(tt.back) {
			t.Errorf("%s: back %s, error %v", tt.temp, back, err)
		}
	}
	for _, tt := range []struct{ four, temp string }{
		{"<tel><uri>TEL:1</uri></tel><tel><text>2</text></tel>", "<TEL><NUMBER>1</NUMBER></TEL><TEL><NUMBER>2</NUMBER></TEL>"},
		{"<impp><uri>sip:x@y</uri></impp><gender><sex>F</sex></gender><fn/><n><surname/></n>", ""},
		{"<email><parameters><type><text>Work</text><text>odd</text></type></parameters><text>a</text></email>", "<EMAIL><WORK/><USERID>a</USERID></EMAIL>"},
		{"<nickname><text>a</text></nickname><nickname><text>b</text></nickname>", "<NICKNAME>a</NICKNAME><NICKNAME>b</NICKNAME>"},
		{"<adr><parameters><label><text>x</text></label></parameters><street>s</street></adr>", "<ADR><STREET>s</STREET></ADR>"},
		{"<fn xmlns='urn:x'><text>x</text></fn><fn><x xmlns='urn:x'>y</x><text>z</text></fn>", "<FN>z</FN>"},
	} {
		if got, err := vcard4.ToTemp(four(tt.four), ""); err != nil || got != temp(tt.temp) {
			t.Errorf("%s: got %s, error %v", tt.four, got, err)
		}
	}
}

// TestMerge: what has no counterpart in vcard-temp survives a card that is set.
func TestMerge(t *testing.T) {
	t.Parallel()
	old := four("<fn><text>old</text></fn><gender><sex>F</sex></gender><impp><uri>sip:x@y</uri></impp><impp><uri>xmpp:x@y</uri></impp><x xmlns='urn:x'/><photo><uri>data:,</uri></photo><n><surname/></n>")
	want := four("<fn><text>new</text></fn><gender xmlns='urn:ietf:params:xml:ns:vcard-4.0'><sex>F</sex></gender><impp xmlns='urn:ietf:params:xml:ns:vcard-4.0'><uri>sip:x@y</uri></impp><x xmlns='urn:x'/>" +
		"<photo xmlns='urn:ietf:params:xml:ns:vcard-4.0'><uri>data:,</uri></photo>")
	got, _, err := vcard4.FromTemp(temp("<FN>new</FN>"), old)
	if err != nil || got != want {
		t.Errorf("got %s, error %v", got, err)
	}
	if again, _, err := vcard4.FromTemp(temp("<FN>new</FN>"), got); err != nil || again != got {
		t.Errorf("then %s, error %v", again, err)
	}
	for _, broken := range []mux.Raw{"x", "<vCard xmlns='vcard-temp'>"} {
		if _, _, err := vcard4.FromTemp(broken, ""); err == nil {
			t.Errorf("%q was read", broken)
		}
		if _, _, err := vcard4.FromTemp("", broken); err == nil {
			t.Errorf("%q was read as what there is", broken)
		}
		if _, err := vcard4.ToTemp(broken, ""); err == nil {
			t.Errorf("%q was read as vCard4", broken)
		}
		if _, err := vcard4.ToTemp(four("<fn/>"), broken); err == nil {
			t.Errorf("%q was read as a rest", broken)
		}
	}
}

// TestShownAndSet: a client of vcard-temp that changes something loses nothing of what it
// was not shown: types it does not have, further values, labels.
func TestShownAndSet(t *testing.T) {
	t.Parallel()
	const email = "<email xmlns='urn:ietf:params:xml:ns:vcard-4.0'><parameters><type><text>Work</text><text>odd</text></type><altid><text>1</text></altid></parameters><text>a@b</text></email>"
	const url = "<url xmlns='urn:ietf:params:xml:ns:vcard-4.0'><uri>u:1</uri><uri>u:2</uri></url>"
	const adr = "<adr xmlns='urn:ietf:params:xml:ns:vcard-4.0'><parameters><label><text>1 x</text></label></parameters><street>x</street></adr>"
	const tel = "<tel xmlns='urn:ietf:params:xml:ns:vcard-4.0'><uri>sip:1@b</uri></tel>"
	published := four("<fn><text>J</text></fn>" + email + url + adr + tel + tel)
	shown, err := vcard4.ToTemp(published, "")
	if err != nil {
		t.Fatal(err)
	}
	if set, _, err := vcard4.FromTemp(shown, published); err != nil || set != published {
		t.Errorf("set as it was shown: %s, error %v", set, err)
	}
	changed := mux.Raw(strings.Replace(strings.Replace(string(shown), ">J<", ">Juliet<", 1), "u:1", "u:3", 1))
	want := four("<fn><text>Juliet</text></fn>" + email + "<url><uri>u:3</uri></url>" + adr + tel + tel)
	if set, _, err := vcard4.FromTemp(changed, published); err != nil || set != want {
		t.Errorf("changed: %s, error %v", set, err)
	}
}

// FuzzMapping: whatever is set and published, what comes out is well-formed, and a card
// that is set again is the same.
func FuzzMapping(f *testing.F) {
	f.Add("<FN>x</FN><TEL><HOME/><NUMBER>1</NUMBER></TEL><PHOTO><BINVAL>eA==</BINVAL></PHOTO>", "<fn><text>y</text></fn><gender><sex>F</sex></gender>")
	f.Add("<ORG><ORGNAME>a</ORGNAME></ORG><v:N xmlns:v='vcard-temp'><v:GIVEN>&lt;</v:GIVEN></v:N>", "<q:impp xmlns:q='urn:ietf:params:xml:ns:vcard-4.0'><q:uri>xmpp:a</q:uri></q:impp>")
	f.Fuzz(func(t *testing.T, inner, oldInner string) {
		own := func(text mux.Raw, root string) mux.Raw {
			el, err := mux.Parse([]byte(text))
			if err != nil || el.Name().Local != root {
				return ""
			}
			c, err := mux.NewChild(el)
			if err != nil {
				return ""
			}
			return mux.Raw(c.Raw())
		}
		card, old := own(temp(inner), "vCard"), own(four(oldInner), "vcard")
		v4, rest, err := vcard4.FromTemp(card, old)
		if err != nil {
			t.Fatal(err)
		}
		parse := func(raw mux.Raw) {
			if raw == "" {
				return
			}
			if _, err := mux.Parse([]byte(raw)); err != nil && !strings.Contains(err.Error(), "policy-violation") {
				t.Fatalf("%s and %s became %s: %v", card, old, raw, err)
			}
		}
		parse(v4)
		parse(rest)
		if v4 == "" {
			return
		}
		if again, _, err := vcard4.FromTemp(card, v4); err == nil && again != v4 {
			t.Errorf("%s and %s became %s, then %s", card, old, v4, again)
		}
		back, err := vcard4.ToTemp(v4, rest)
		if err != nil {
			t.Fatal(err)
		}
		parse(back)
		if twice, _, err := vcard4.FromTemp(back, v4); err != nil || len(twice) == 0 {
			t.Errorf("%s came back as %s, error %v", v4, back, err)
		}
	})
}
