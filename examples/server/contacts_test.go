package main

import (
	"strings"
	"testing"
)

// TestContacts: clients are told where to reach the operator (XEP-0157).
func TestContacts(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := launch(t, data, "-domain", "example.org", "-store", "memory", "-contact", "abuse=mailto:abuse@example.org", "-contact", "admin=xmpp:admin@example.org")
	operate(t, data, password, "user", "add", "alice@example.org")
	alice := login(t, s.addr, "alice", "example.org")
	alice.send("<iq type='get' id='d' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
	got := alice.until("</iq>")
	for _, want := range []string{
		"<value>http://jabber.org/network/serverinfo</value>",
		"<field var='abuse-addresses' type='list-multi'><value>mailto:abuse@example.org</value></field>",
		"<field var='admin-addresses' type='list-multi'><value>xmpp:admin@example.org</value></field>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	alice.close()
}
