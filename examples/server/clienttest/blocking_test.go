//go:build clients

package clienttest

import "testing"

// TestBlocking: XEP-0191 with slixmpp: what is kept away, who is told, and that
// everything is there again afterwards.
func TestBlocking(t *testing.T) {
	s := startServer(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			slixmpp(t, s, via, "block", alice, bob).done(t, limit)
		})
	}
}

// TestBlockingSurvivesKill: what was blocked is blocked after the server was killed
// in the moment the answer was out.
func TestBlockingSurvivesKill(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	x := slixmpp(t, s, s.transports()[0], "block-keep", alice, bob, "example.org", "example.com/x")
	x.expect(t, "stored", limit)
	s.kill(t)
	x.done(t, limit)
	s.launch(t)
	slixmpp(t, s, s.transports()[1], "block-has", alice, bob, "example.org", "example.com/x").done(t, limit)
	slixmpp(t, s, s.transports()[0], "block-has", bob).done(t, limit)
}
