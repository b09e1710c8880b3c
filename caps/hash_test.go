package caps_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
)

// info reads the text of a query.
func info(t testing.TB, text string) *caps.Info {
	t.Helper()
	i, err := caps.ReadInfo(mux.Raw(text).TokenReader(), "")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// query makes the text of one.
func query(children string) string {
	return "<query xmlns='http://jabber.org/protocol/disco#info'>" + children + "</query>"
}

func file(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	// exodus is the example of XEP-0115 §5.2.
	exodus = "<identity category='client' type='pc' name='Exodus 0.9.1'/><feature var='http://jabber.org/protocol/muc'/><feature var='http://jabber.org/protocol/disco#items'/>" +
		"<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/caps'/>"
	exodusVer = "QgayPKawpkPSDYmwT/WM94uAlu0="
	bot       = "<identity category='client' type='bot' name='scansion'/><feature var='http://jabber.org/protocol/disco#info'/><feature var='urn:xmpp:bookmarks:1+notify'/>"
	botVer    = "CPuQARM1gCTq2f6/ZjHUzWL2QHg="
)

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, query string
		hash        caps.Hash
	}{
		{"XEP-0115 §5.2", query(exodus), caps.Hash{Proto: caps.XEP0115, Algo: "sha-1", Value: exodusVer}},
		{"XEP-0115 §5.3", file(t, "complex115.xml"), caps.Hash{Proto: caps.XEP0115, Algo: "sha-1", Value: "q07IKJEyjvHSyhy//CH0CxmKi8w="}},
		{"bot", query(bot), caps.Hash{Proto: caps.XEP0115, Algo: "sha-1", Value: botVer}},
		{"XEP-0390 §4.5.1", file(t, "simple390.xml"), caps.Hash{Proto: caps.XEP0390, Algo: "sha-256", Value: "kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8="}},
		{"XEP-0390 §4.5.1 sha3", file(t, "simple390.xml"), caps.Hash{Proto: caps.XEP0390, Algo: "sha3-256", Value: "79mdYAfU9rEdTOcWDO7UEAt6E56SUzk/g6TnqUeuD9Q="}},
		{"XEP-0390 §4.5.2", file(t, "complex390.xml"), caps.Hash{Proto: caps.XEP0390, Algo: "sha-256", Value: "u79ZroNJbdSWhdSp311mddz44oHHPsEBntQ5b1jqBSY="}},
		{"XEP-0390 §4.5.2 sha3", file(t, "complex390.xml"), caps.Hash{Proto: caps.XEP0390, Algo: "sha3-256", Value: "XpUJzLAc93258sMECZ3FJpebkzuyNXDzRNwQog8eycg="}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			i := info(t, c.query)
			if err := caps.Verify(i, c.hash); err != nil {
				t.Error(err)
			}
			// Order says nothing.
			slices.Reverse(i.Features)
			slices.Reverse(i.Identities)
			for _, f := range i.Forms {
				slices.Reverse(f.Fields)
				for _, x := range f.Fields {
					slices.Reverse(x.Values)
				}
			}
			if err := caps.Verify(i, c.hash); err != nil {
				t.Errorf("in another order: %v", err)
			}
			i.Features[0] += "x"
			if err := caps.Verify(i, c.hash); !errors.Is(err, caps.ErrMismatch) {
				t.Errorf("another feature: error %v", err)
			}
		})
	}
}

// alike are three infos that XEP-0115 hashes alike (pep CAPS-10).
var alike = []string{
	"<identity category='client' type='pc' name='X'/><feature var='http://jabber.org/protocol/disco#info'/><feature var='urn:a+notify'/><feature var='urn:b+notify'/><feature var='urn:c+notify'/>",
	"<identity category='client' type='pc' name='X'/><feature var='http://jabber.org/protocol/disco#info'/><x xmlns='jabber:x:data' type='result'>" +
		"<field var='FORM_TYPE' type='hidden'><value>urn:a+notify</value></field><field var='urn:b+notify'><value>urn:c+notify</value></field></x>",
	"<feature var='client/pc//X'/><feature var='http://jabber.org/protocol/disco#info'/><feature var='urn:a+notify'/><feature var='urn:b+notify'/><feature var='urn:c+notify'/>",
}

const alikeVer = "91cwOTn7ZGw1R9QtWQRcrcpj8xk="

func TestAlike(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, text := range alike {
		i := info(t, query(text))
		if got, err := caps.Hash115(i, "sha-1"); err != nil || got != alikeVer {
			t.Errorf("%s: got %s, error %v", text, got, err)
		}
		h, err := caps.Hash390(i, "sha-256")
		if err != nil || seen[h] {
			t.Errorf("%s: XEP-0390 has %s twice, or error %v", text, h, err)
		}
		seen[h] = true
	}
}

const (
	idA   = "<identity category='client' type='pc' name='A'/>"
	featA = "<feature var='urn:a'/>"
)

func formOf(fields string) string { return "<x xmlns='jabber:x:data' type='result'>" + fields + "</x>" }

func typed(value string) string {
	return "<field var='FORM_TYPE' type='hidden'><value>" + value + "</value></field>"
}

// TestRules is about what may not be hashed (XEP-0115 §5.4, XEP-0390 §4.1): ok115 and
// ok390 say whether it may, same115 what it is hashed like if it is.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, query  string
		ok115, ok390 bool
		same115      string
	}{
		{"plain", idA + featA, true, true, ""},
		{"nothing", "", true, true, ""},
		{"identity twice", idA + idA + featA, false, true, ""},
		{"identity in two languages", "<identity category='client' type='pc' xml:lang='en' name='A'/><identity category='client' type='pc' xml:lang='de' name='A'/>", true, true, ""},
		{"feature twice", idA + featA + featA, false, true, ""},
		{"form twice", idA + formOf(typed("urn:f")) + formOf(typed("urn:f")+"<field var='x'><value>1</value></field>"), false, true, ""},
		{"two forms", idA + formOf(typed("urn:f")) + formOf(typed("urn:g")), true, true, ""},
		{"form of two types", idA + formOf("<field var='FORM_TYPE' type='hidden'><value>urn:f</value><value>urn:g</value></field>"), false, false, ""},
		{"type twice", idA + formOf("<field var='FORM_TYPE' type='hidden'><value>urn:f</value><value>urn:f</value></field>"), true, true, idA + formOf(typed("urn:f"))},
		{"form without type", idA + featA + formOf("<field var='x'><value>1</value></field>"), true, false, idA + featA},
		{"type not hidden", idA + featA + formOf("<field var='FORM_TYPE'><value>urn:f</value></field>"), true, false, idA + featA},
		{"type empty", idA + featA + formOf(typed("")), true, false, idA + featA},
		{"table", idA + formOf(typed("urn:f")+"<item><field var='x'><value>1</value></field></item>"), true, false, idA + formOf(typed("urn:f"))},
		{"something else", idA + featA + "<other xmlns='urn:other'/>", true, false, idA + featA},
		{"feature of another namespace", idA + "<feature xmlns='urn:other' var='urn:a'/>", true, false, idA},
		{"separator in a feature", idA + "<feature var='urn:a&lt;urn:b'/>", false, true, ""},
		{"separator in an identity", "<identity category='client' type='pc' name='A&lt;B'/>", false, true, ""},
		{"separator in a value", idA + formOf(typed("urn:f")+"<field var='x'><value>&lt;</value></field>"), false, true, ""},
		{"escaped twice", idA + "<feature var='urn:a&amp;lt;urn:b'/>", true, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			i := info(t, query(c.query))
			got, err := caps.Hash115(i, "sha-1")
			if (err == nil) != c.ok115 || err != nil && !errors.Is(err, caps.ErrMalformed) {
				t.Errorf("XEP-0115: %q, error %v", got, err)
			}
			if _, err := caps.Hash390(i, "sha-256"); (err == nil) != c.ok390 || err != nil && !errors.Is(err, caps.ErrMalformed) {
				t.Errorf("XEP-0390: error %v", err)
			}
			if c.same115 != "" {
				if want, err := caps.Hash115(info(t, query(c.same115)), "sha-1"); err != nil || got != want {
					t.Errorf("got %s, want %s, error %v", got, want, err)
				}
			}
		})
	}
}

// TestLang: an inherited language is part of what XEP-0390 hashes, for those who know
// it; an identity's own of both.
func TestLang(t *testing.T) {
	t.Parallel()
	plain, own := info(t, query(idA)), info(t, query("<identity category='client' type='pc' name='A' xml:lang='de'/>"))
	inherited, err := caps.ReadInfo(mux.Raw(query(idA)).TokenReader(), "de")
	if err != nil {
		t.Fatal(err)
	}
	around := info(t, "<query xmlns='http://jabber.org/protocol/disco#info' xml:lang='de'>"+idA+"</query>")
	hash := func(i *caps.Info, p caps.Proto) caps.Hash {
		h := caps.Hash{Proto: p, Algo: "sha-256"}
		var err error
		if h.Value, err = caps.Hash115(i, h.Algo); p == caps.XEP0390 {
			h.Value, err = caps.Hash390(i, h.Algo)
		}
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, c := range []struct {
		name string
		i    *caps.Info
		h    caps.Hash
		ok   bool
	}{
		{"inherited as own", inherited, hash(own, caps.XEP0390), true},
		{"around as own", around, hash(own, caps.XEP0390), true},
		{"inherited as none", inherited, hash(plain, caps.XEP0390), true},
		{"none as own", plain, hash(own, caps.XEP0390), false},
		{"own as none", own, hash(plain, caps.XEP0390), false},
		{"XEP-0115 inherited as none", inherited, hash(plain, caps.XEP0115), true},
		{"XEP-0115 inherited as own", inherited, hash(own, caps.XEP0115), false},
	} {
		if err := caps.Verify(c.i, c.h); (err == nil) != c.ok || err != nil && !errors.Is(err, caps.ErrMismatch) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	i := info(t, query(idA))
	for _, c := range []struct {
		proto caps.Proto
		algo  string
		ok    bool
	}{
		{caps.XEP0115, "sha-1", true}, {caps.XEP0115, "sha-256", true}, {caps.XEP0115, "sha-512", true}, {caps.XEP0115, "md5", false},
		{caps.XEP0390, "sha-256", true}, {caps.XEP0390, "sha-512", true}, {caps.XEP0390, "sha3-256", true}, {caps.XEP0390, "sha3-512", true},
		{caps.XEP0390, "sha-1", false}, {caps.XEP0390, "SHA-256", false}, {0, "sha-256", false},
	} {
		h := caps.Hash{Proto: c.proto, Algo: c.algo}
		want := caps.ErrMismatch
		if !c.ok {
			want = caps.ErrAlgo
		}
		if err := caps.Verify(i, h); !errors.Is(err, want) {
			t.Errorf("%d %s: error %v", c.proto, c.algo, err)
		}
	}
}

// TestSorted: identities are sorted by their parts, not as they are joined.
func TestSorted(t *testing.T) {
	t.Parallel()
	a := info(t, query("<identity category='a-b' type='x'/><identity category='a' type='y'/>"))
	// a/y// comes before a-b/x//, although - comes before /.
	got, err := caps.Hash115(a, "sha-1")
	if want := sha1Of("a/y//<a-b/x//<"); err != nil || got != want {
		t.Errorf("got %s, want %s, error %v", got, want, err)
	}
}

func TestReadInfo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"another element", "<other/>", caps.ErrMalformed},
		{"another namespace", "<query xmlns='urn:x'/>", caps.ErrMalformed},
		{"cut off", "<query xmlns='http://jabber.org/protocol/disco#info'><feature", caps.ErrMalformed},
		{"too many features", query(strings.Repeat(featA, 1001)), caps.ErrTooLarge},
		{"long feature", query("<feature var='" + strings.Repeat("x", 1025) + "'/>"), caps.ErrTooLarge},
		{"too many identities", query(strings.Repeat(idA, 101)), caps.ErrTooLarge},
	} {
		if _, err := caps.ReadInfo(mux.Raw(c.text).TokenReader(), ""); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}
