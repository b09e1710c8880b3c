//go:build clients

package clienttest

import "testing"

const contact = "contact@example.org"

// TestRestart: accounts and rosters outlive a clean restart.
func TestRestart(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	x := storeContact(t, s)
	s.stop(t)
	x.done(t, limit)
	wantContact(t, s)
}

// TestKill: what a client was told is stored is there after the server was
// killed in the moment the answer was out.
func TestKill(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	x := storeContact(t, s)
	s.kill(t)
	x.done(t, limit)
	wantContact(t, s)
}

// storeContact adds an item to alice's roster and returns once the server has
// answered; the client stays connected until the server ends.
func storeContact(t *testing.T, s *server) *console {
	t.Helper()
	x := slixmpp(t, s, s.transports()[0], "roster-add", alice, contact)
	x.expect(t, "stored", limit)
	return x
}

// wantContact starts the server again and looks for the item.
func wantContact(t *testing.T, s *server) {
	t.Helper()
	s.launch(t)
	slixmpp(t, s, s.transports()[0], "roster-has", alice, contact).done(t, limit)
	slixmpp(t, s, s.transports()[1], "login", bob).done(t, limit)
}
