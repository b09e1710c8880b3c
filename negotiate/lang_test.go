package negotiate_test

import (
	"strings"
	"testing"
	"testing/synctest"
)

// TestServeLang: XS-15, stanzas without a language of their own get that of the
// last stream header.
func TestServeLang(t *testing.T) {
	t.Parallel()
	const plain = "C: {open}\n"
	lang := func(l string) string {
		return strings.Replace(short.Replace("C: {open}\n"), " version=", " xml:lang='"+l+"' version=", 1)
	}
	i := strings.LastIndex(loggedIn, plain)
	if i <= 0 {
		t.Fatal("no header after authentication")
	}
	for _, tt := range []struct{ name, first, last, own, want string }{
		{"none", plain, plain, "", ""},
		{"of the stream", plain, lang("it"), "", " xml:lang='it'"},
		{"of the last header", lang("de"), lang("it"), "", " xml:lang='it'"},
		{"only before authentication", lang("de"), plain, "", ""},
		{"of the stanza", plain, lang("it"), " xml:lang='en'", " xml:lang='en'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, trusted())
				p := s.connect()
				defer p.stop()
				juliet := s.host.Connect(t, "juliet@example.net/balcony")
				p.run(strings.Replace(loggedIn[:i], plain, tt.first, 1) + tt.last + loggedIn[i+len(plain):] + bindX)
				p.take()
				p.run("C: <message to='juliet@example.net/balcony' id='1'" + tt.own + "/>")
				juliet.Expect("<message from='romeo@example.net/x' to='juliet@example.net/balcony' id='1'" + tt.want + "/>")
			})
		})
	}
}
