package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// command runs a command of the server and returns the answer.
func (p *peer) command(node, more, payload string) string {
	p.t.Helper()
	p.send("<iq type='set' id='c' to='example.org'><command xmlns='http://jabber.org/protocol/commands' node='" + node + "'" + more + ">" + payload + "</command></iq>")
	return p.until("</iq>")
}

// TestOwnInvitations: a user sees the invitations that she has made, and voids one, from
// her client; what others have made is not hers (auth-register IV-10).
func TestOwnInvitations(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	operate(t, data, "", "invite")
	s := launch(t, data, "-domain", "example.org", "-registration", "invite")
	alice := login(t, s.addr, "alice", "example.org")
	defer alice.close()
	const revoke, list = "propolis:invites#revoke", "propolis:invites#list"
	if got := alice.command(revoke, "", ""); !strings.Contains(got, "status='completed'") || !strings.Contains(got, "no open invitations") {
		t.Errorf("nothing to revoke: %s", got)
	}
	var tokens []string
	for range 2 {
		got := alice.command("urn:xmpp:invite#invite", "", "")
		tokens = append(tokens, between(got, "roster;preauth=", ";ibr=y</value>"))
	}
	got := alice.command(list, "", "")
	if strings.Count(got, "<item>") != 2 || strings.Count(got, "<value>open</value>") != 2 || strings.Contains(got, tokens[0]) {
		t.Errorf("list %s", got)
	}
	form := alice.command(revoke, "", "")
	session, id := between(form, "sessionid='", "'"), between(form, "<option ", "</option>")
	id = between(id, "<value>", "</value>")
	if strings.Count(form, "<option ") != 2 || len(id) != 20 {
		t.Fatalf("form %s", form)
	}
	submit := func(id string) string {
		return alice.command(revoke, " action='complete' sessionid='"+session+"'",
			"<x xmlns='jabber:x:data' type='submit'><field var='invites'><value>"+id+"</value></field></x>")
	}
	if got := submit("0123456789abcdef0123"); !strings.Contains(got, "item-not-found") {
		t.Errorf("another's: %s", got)
	}
	if got := submit(id); !strings.Contains(got, "status='completed'") || !strings.Contains(got, "<value>"+id+"</value>") {
		t.Errorf("revoked: %s", got)
	}
	if got := operate(t, data, "", "invite", "list"); strings.Contains(got, id) || strings.Count(got, "\n") != 2 {
		t.Errorf("the operator sees %s", got)
	}
	var results []string
	for n, token := range tokens {
		p := dial(t, s.addr, "example.org")
		results = append(results, signUp(p, token, "bob"+string(rune('a'+n)), password))
		p.close()
	}
	if got := strings.Join(results, "\n"); strings.Count(got, "item-not-found") != 1 || strings.Count(got, "type='result'") != 1 {
		t.Errorf("with the tokens: %s", got)
	}
	if got := alice.command(list, "", ""); strings.Count(got, "<item>") != 1 || !strings.Contains(got, "<value>used</value>") || strings.Contains(got, "bob") {
		t.Errorf("in the end %s", got)
	}
}
