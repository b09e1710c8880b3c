package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/sasl2"
)

// bound logs alice in with Bind 2, by a token or with the password if that is empty.
func bound(t *testing.T, addr, token, secret, more string) (p *peer, success string) {
	t.Helper()
	p, _ = as(t, addr, "alice")
	mechanism, initial := "PLAIN", "\x00alice\x00"+secret
	if token != "" {
		m, _ := sasl2.ParseHT("HT-SHA-256-NONE")
		mechanism, initial = m.Name(), string(m.Initial("alice", token, nil))
		more += "<fast xmlns='urn:xmpp:fast:0'/>"
	}
	p.send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'><initial-response>" + encode(initial) + "</initial-response>" + agent + more + "</authenticate>")
	success = p.until("</failure>", "</success>")
	if !strings.HasPrefix(success, "<success") {
		t.Fatalf("login: %s", success)
	}
	return p, success
}

// inRegister sends a request and returns what comes back: result, or the condition.
func (p *peer) inRegister(content string) string {
	p.t.Helper()
	p.send("<iq type='set' id='reg'><query xmlns='" + nsRegister + "'>" + content + "</query></iq>")
	p.until(" id='reg'")
	got := p.until("/>", "</iq>")
	if got == "/>" {
		return "result"
	}
	if !strings.HasSuffix(got, "</iq>") {
		got += p.until("</iq>")
	}
	answer := between(between(got, "<error", "</error>"), "><", " ")
	if strings.Contains(got, "jabber:x:data") {
		answer += " with a form"
	}
	return answer
}

// answered is a form of registration that was filled in.
func answered(kind string, pairs ...string) string {
	b := "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" + nsRegister + ":" + kind + "</value></field>"
	for i := 0; i < len(pairs); i += 2 {
		b += "<field var='" + pairs[i] + "'><value>" + pairs[i+1] + "</value></field>"
	}
	return b + "</x>"
}

// TestGuessByToken: a stolen token is worth three guesses at the password, not three each
// time that it is used: it is void after them (auth-register PC-2, AB-2).
func TestGuessByToken(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	s := launch(t, data, "-domain", "example.org")
	token := issueToken(t, s.addr, password)
	const bind = "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
	p, _ := bound(t, s.addr, token, "", bind)
	other := login(t, s.addr, "alice", "example.org")
	for range 3 {
		if got := p.inRegister(answered("cancel", "username", "alice", "password", "a guess")); got != "not-authorized" {
			t.Errorf("guess: %s", got)
		}
	}
	if got := p.until("</stream:stream>"); !strings.Contains(got, "<policy-violation ") {
		t.Errorf("after the guesses: %s", got)
	}
	p.close()
	if got := useToken(t, s.addr, token); got != "not-authorized" {
		t.Errorf("the token: %s", got)
	}
	other.alive() // the owner's session stays
	other.close()
	s.stop()
}

// TestByToken: whoever has a device with a token, and not the password, cannot change
// the password with it or remove the account, also not in a session that began with the
// password; a session that has shown the password need not show it again (auth-register
// PC-2, PC-9).
func TestByToken(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	s := launch(t, data, "-domain", "example.org")
	const (
		bind   = "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
		secret = "battery staple"
		third  = "parting is such sweet sorrow"
	)
	fields := func(password string) string {
		return "<username>alice</username><password>" + password + "</password>"
	}
	token := issueToken(t, s.addr, password)
	p, _ := bound(t, s.addr, token, "", bind)
	expect := func(p *peer, content, want string) {
		t.Helper()
		if got := p.inRegister(content); got != want {
			t.Errorf("%s: %s, want %s", content, got, want)
		}
	}
	expect(p, fields(secret), "not-authorized with a form")
	expect(p, "<remove/>", "not-authorized with a form")
	expect(p, answered("changepassword", "username", "alice", "old_password", "a guess of it", "password", secret), "not-authorized")
	expect(p, answered("changepassword", "username", "alice", "old_password", password, "password", secret), "result")
	p.close()

	// Begun with the password, resumed with a token.
	q, success := bound(t, s.addr, "", secret, bind)
	id := between(between(success, "<enabled ", "/>"), "id='", "'")
	q.close()
	token = issueToken(t, s.addr, secret)
	q, success = bound(t, s.addr, token, "", "<resume xmlns='urn:xmpp:sm:3' previd='"+id+"' h='0'/>")
	if !strings.Contains(success, "<resumed ") {
		t.Fatalf("not resumed: %s", success)
	}
	expect(q, fields(third), "not-authorized with a form")
	q.close()
	q, success = bound(t, s.addr, "", secret, "<resume xmlns='urn:xmpp:sm:3' previd='"+id+"' h='1'/>")
	if !strings.Contains(success, "<resumed ") {
		t.Fatalf("not resumed: %s", success)
	}
	expect(q, fields(third), "result")
	older := dial(t, s.addr, "example.org")
	if got := older.authenticate("alice", third); got != "success" {
		t.Fatal(got)
	}
	older.close()
	token = issueToken(t, s.addr, third)
	p, _ = bound(t, s.addr, token, "", bind)
	expect(p, answered("cancel", "username", "alice", "password", secret), "not-authorized")
	expect(p, answered("cancel", "username", "alice", "password", third), "result")
	if got := p.until("</stream:stream>"); !strings.Contains(got, "<not-authorized ") {
		t.Errorf("after the removal: %s", got)
	}
	p.close()
	q.close()
	s.stop()
}
