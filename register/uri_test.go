package register_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/register"
)

// TestParseURI: RFC 5122, XEP-0147, XEP-0401, XEP-0445 §2; ML-10.
func TestParseURI(t *testing.T) {
	t.Parallel()
	type m = map[string]string
	for _, tt := range []struct {
		in, jid, action string
		params          m
	}{
		{"xmpp:juliet@example.com?register;preauth=TOKEN", "juliet@example.com", "register", m{"preauth": "TOKEN"}},
		{"xmpp:example.com?register;preauth=TOKEN", "example.com", "register", m{"preauth": "TOKEN"}},
		{"XMPP:Romeo@Example.com?roster;preauth=TOKEN;ibr=y", "romeo@example.com", "roster", m{"preauth": "TOKEN", "ibr": "y"}},
		{"xmpp:romeo@montague.net?roster;preauth=1tMF;name=Romeo%20Montague", "romeo@montague.net", "roster", m{"preauth": "1tMF", "name": "Romeo Montague"}},
		{"xmpp://guest@example.com/support@example.com?message", "support@example.com", "message", nil},
		{"xmpp:nasty!%23$%25()*+,-.;=%3F%5B%5C%5D%5E_%60%7B%7C%7D~node@example.com", "nasty!#$%()*+,-.;=?[\\]^_`{|}~node@example.com", "", nil},
		{"xmpp:node@example.com/some%20resource?message;subject=a%3Bb#frag?x", "node@example.com/some resource", "message", m{"subject": "a;b"}},
		{"xmpp:ji%C5%99i@%C4%8Dechy.example", "ji\u0159i@\u010dechy.example", "", nil},
		{"xmpp:a@b?register;x=1;x=2;;=3;y", "a@b", "register", m{"x": "1", "y": ""}},
	} {
		u, err := register.ParseURI(tt.in)
		if err != nil || u.JID.String() != tt.jid || u.Action != tt.action || !reflect.DeepEqual(u.Params, tt.params) {
			t.Errorf("%s: %+v, error %v", tt.in, u, err)
		}
		if again, err := register.ParseURI(u.String()); err != nil || !reflect.DeepEqual(again, u) {
			t.Errorf("%s: written as %s and read as %+v, error %v", tt.in, u, again, err)
		}
	}
	for _, bad := range []string{"", "xmpp", "xmpp:", "http://example.com", "xmpp://example.com", "xmpp:a@", "xmpp:@b", "xmpp:..", "xmpp:a@b..", "xmpp:%zz@b", "xmpp:a@b?%", "xmpp:a@b?x;%=1",
		"xmpp:a@b?x;y=%", "xmpp:" + strings.Repeat("a", 5000)} {
		if u, err := register.ParseURI(bad); !errors.Is(err, register.ErrURI) {
			t.Errorf("%q: %+v, error %v", bad, u, err)
		}
	}
}

// TestInvitationOf: IV-11, IV-12.
func TestInvitationOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]register.Invitation{
		"xmpp:juliet@example.com?register;preauth=T":           {Domain: "example.com", Username: "juliet", Token: "T"},
		"xmpp:example.com?register;preauth=T":                  {Domain: "example.com", Token: "T"},
		"xmpp:example.com?register":                            {Domain: "example.com"},
		"xmpp:romeo@example.com?roster;preauth=T;ibr=y;name=R": {Domain: "example.com", Contact: jid.MustParse("romeo@example.com"), Name: "R", Token: "T"},
		"xmpp:romeo@example.com/x?roster;preauth=T":            {Contact: jid.MustParse("romeo@example.com"), Token: "T"},
		"xmpp:romeo@example.com?roster;ibr=y":                  {Contact: jid.MustParse("romeo@example.com")},
	} {
		u, err := register.ParseURI(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := u.Invitation(); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", in, got, want)
		}
	}
	for _, other := range []string{"xmpp:a@b", "xmpp:a@b?message;preauth=T", "xmpp:example.com?roster;preauth=T"} {
		if u, err := register.ParseURI(other); err != nil {
			t.Error(err)
		} else if i, ok := u.Invitation(); ok {
			t.Errorf("%s: %+v", other, i)
		}
	}
}

// FuzzParseURI: what was read can be written and read again.
func FuzzParseURI(f *testing.F) {
	f.Add("xmpp:juliet@example.com?register;preauth=TOKEN")
	f.Add("xmpp://a@b/c@d/e?roster;name=%F0%9F%90%9D;ibr=y#f")
	f.Add("xmpp:[::1]?;=;%3B=%3D")
	f.Add("xmpp:a@b..")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := register.ParseURI(s)
		if err != nil {
			return
		}
		_, _ = u.Invitation()
		written := u.String()
		if len(written) > 4096 {
			return
		}
		if again, err := register.ParseURI(written); err != nil || !again.JID.Equal(u.JID) || again.Action != u.Action || !reflect.DeepEqual(again.Params, u.Params) {
			t.Errorf("%q was written as %q and read as %+v, error %v", s, written, again, err)
		}
	})
}

// TestSkeleton: UTS 39 §4; and the whole table is read.
func TestSkeleton(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{{"alice", "\u0430lice"}, {"modern", "rnodern"}, {"bill", "bi1l"}, {"caf\u00e9", "cafe\u0301"}, {"\u03bf", "o"}} {
		if a, b := register.Skeleton(same[0]), register.Skeleton(same[1]); a != b {
			t.Errorf("%q has %q, %q has %q", same[0], a, same[1], b)
		}
	}
	for _, other := range [][2]string{{"alice", "alise"}, {"a", "b"}, {"e", "\u00e9"}} {
		if register.Skeleton(other[0]) == register.Skeleton(other[1]) {
			t.Errorf("%q and %q look alike", other[0], other[1])
		}
	}
}
