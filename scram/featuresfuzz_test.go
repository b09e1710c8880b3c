package scram_test

import (
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// FuzzFeatures: whatever a server that does not know the password says in the profile of
// RFC 6120, the client ends, and never believes it.
func FuzzFeatures(f *testing.F) {
	for _, text := range []string{
		"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
		"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dj1h</success>",
		"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj14</challenge>",
		"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</challenge><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
		"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>no</text></failure>",
		"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "<stream:error/>", "</stream:stream>", "<x><y/></x>", " ",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var k keeper
		err := meet(t, 0, scram.Features(k.options()), func(p *peer) {
			p.mechanisms = threePlain
			p.list()
			p.wants("auth")
			p.send(text)
		})
		if err == nil || k.Mechanism != "" {
			t.Errorf("logged in with %q", k.Mechanism)
		}
	})
}
