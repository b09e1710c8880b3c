package main

import (
	"path/filepath"
	"strings"
	"testing"
)

const nsRegister = "jabber:iq:register"

// signUp asks for an account before login, with a token if there is one, and returns the
// last answer.
func signUp(p *peer, token, name, password string) string {
	p.t.Helper()
	p.until("</stream:features>")
	if token != "" {
		p.send("<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='" + token + "'/></iq>")
		if got := p.until("id='p'/>", "</iq>"); !strings.Contains(got, "'result'") {
			return got
		}
	}
	p.send("<iq type='set' id='s'><query xmlns='" + nsRegister + "'><username>" + name + "</username><password>" + password + "</password></query></iq>")
	return p.until("id='s'/>", "</iq>")
}

// between is the text between two others.
func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// authenticateNow is authenticate for a stream whose features were read already.
func (p *peer) authenticateNow(user, password string) string {
	p.t.Helper()
	again := dial(p.t, p.conn.RemoteAddr().String(), "example.org")
	defer again.close()
	return again.authenticate(user, password)
}

// TestInvitation: a user invites somebody, who makes an account with that and is a
// contact from then on; without an invitation nobody gets in, and with this one nobody
// else (auth-register IV-2, IV-3, IV-8, AB-3).
func TestInvitation(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	s := launch(t, data, "-domain", "example.org", "-registration", "invite")
	alice := login(t, s.addr, "alice", "example.org")
	alice.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>")
	alice.until("</iq>", "id='r'/>")
	alice.send("<iq type='get' id='d' to='example.org'><query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/></iq>")
	if got := alice.until("</iq>"); !strings.Contains(got, "node='urn:xmpp:invite#invite'") || !strings.Contains(got, "node='urn:xmpp:invite#create-account'") {
		t.Errorf("commands %s", got)
	}
	alice.send("<iq type='set' id='i' to='example.org'><command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite' action='execute'/></iq>")
	got := alice.until("</iq>")
	token := between(got, "xmpp:alice@example.org?roster;preauth=", ";ibr=y</value>")
	if len(token) != 26 {
		t.Fatalf("token %q in %s", token, got)
	}

	p := dial(t, s.addr, "example.org")
	if got := signUp(p, "", "bob", password); !strings.Contains(got, "not-allowed") || !strings.Contains(got, "code='405'") {
		t.Errorf("uninvited: %s", got)
	}
	p.close()
	p = dial(t, s.addr, "example.org")
	if got := signUp(p, "wrong", "bob", password); !strings.Contains(got, "item-not-found") {
		t.Errorf("wrong token: %s", got)
	}
	p.close()
	p = dial(t, s.addr, "example.org")
	if got := signUp(p, token, "bob", password); !strings.Contains(got, "'result'") {
		t.Fatalf("invited: %s", got)
	}
	got = alice.until("subscription='both'")
	if !strings.Contains(got, "bob@example.org") {
		t.Errorf("alice got %s", got)
	}
	p.close()
	bob := login(t, s.addr, "bob", "example.org")
	bob.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
	if got := bob.until("</iq>", "id='r'/>"); !strings.Contains(got, "alice@example.org") || !strings.Contains(got, "subscription='both'") {
		t.Errorf("bob's roster %s", got)
	}
	p = dial(t, s.addr, "example.org")
	if got := signUp(p, token, "carol", password); !strings.Contains(got, "item-not-found") {
		t.Errorf("used twice: %s", got)
	}
	p.close()
	alice.close()
	bob.close()
}

// TestApproval: -registration approve.
func TestApproval(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := launch(t, data, "-domain", "example.org", "-registration", "approve")
	for _, name := range []string{"alice", "bob"} {
		p := dial(t, s.addr, "example.org")
		p.until("</stream:features>")
		p.send("<iq type='set' id='s'><query xmlns='" + nsRegister + "'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" + nsRegister + "</value></field>" +
			"<field var='username'><value>" + name + "</value></field><field var='password'><value>" + password + "</value></field>" +
			"<field var='reason'><value>I keep</value><value>bees</value></field></x></query></iq>")
		if got := p.until("id='s'/>", "</iq>"); !strings.Contains(got, "'result'") {
			t.Fatalf("%s: %s", name, got)
		}
		if got := p.authenticateNow(name, password); got != "account-disabled" {
			t.Errorf("login before approval: %s", got)
		}
		p.close()
	}
	if got := operate(t, data, "", "user", "pending"); strings.Count(got, `"I keep\nbees"`) != 2 || !strings.Contains(got, "from 127.0.0.1") {
		t.Errorf("pending: %s", got)
	}
	operate(t, data, "", "user", "approve", "alice@example.org")
	operate(t, data, "", "user", "deny", "bob@example.org")
	if got := operate(t, data, "", "user", "pending"); got != "" {
		t.Errorf("pending: %s", got)
	}
	p := dial(t, s.addr, "example.org")
	if got := p.authenticateNow("alice", password); got != "success" {
		t.Errorf("login after approval: %s", got)
	}
	if got := p.authenticateNow("bob", password); got != "not-authorized" {
		t.Errorf("login after denial: %s", got)
	}
	if got := signUp(p, "", "bob", password); !strings.Contains(got, "'result'") {
		t.Errorf("the name of somebody who was denied: %s", got)
	}
	p.close()
}

// TestResetLink: the operator gives a user a link for a new password, with the server
// running or not, whatever the policy; with it sessions end.
func TestResetLink(t *testing.T) {
	t.Parallel()
	for _, runs := range []bool{true, false} {
		data := filepath.Join(t.TempDir(), "data")
		operate(t, data, password, "user", "add", "alice@example.org")
		var s *running
		start := func() { s = launch(t, data, "-domain", "example.org", "-registration", "closed") }
		if runs {
			start()
		}
		link := strings.TrimSpace(operate(t, data, "", "invite", "reset", "alice@example.org"))
		if !runs {
			start()
		}
		token, ok := strings.CutPrefix(link, "xmpp:alice@example.org?register;preauth=")
		if !ok {
			t.Fatalf("link %s", link)
		}
		alice := login(t, s.addr, "alice", "example.org")
		const other = "parting is such sweet sorrow"
		p := dial(t, s.addr, "example.org")
		if got := signUp(p, token, "bob", other); !strings.Contains(got, "not-allowed") {
			t.Errorf("another name: %s", got)
		}
		p.close()
		p = dial(t, s.addr, "example.org")
		if got := signUp(p, token, "alice", other); !strings.Contains(got, "'result'") {
			t.Errorf("reset: %s", got)
		}
		if got := alice.until("</stream:stream>"); !strings.Contains(got, "<reset ") {
			t.Errorf("alice got %s", got)
		}
		if got := p.authenticateNow("alice", password); got != "not-authorized" {
			t.Errorf("old password: %s", got)
		}
		if got := p.authenticateNow("alice", other); got != "success" {
			t.Errorf("new password: %s", got)
		}
		p.close()
		alice.close()
		p = dial(t, s.addr, "example.org")
		if got := signUp(p, token, "alice", other); !strings.Contains(got, "item-not-found") {
			t.Errorf("used twice: %s", got)
		}
		p.close()
		s.stop()
	}
}

// TestRemovalFinished: an account that was removed while no server ran, or whose removal
// was interrupted, is gone after the next start, and its contacts know (auth-register
// PC-7); its name stays away from others.
func TestRemovalFinished(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	operate(t, data, password, "user", "add", "bob@example.org")
	s := launch(t, data, "-domain", "example.org", "-registration", "open")
	alice, bob := login(t, s.addr, "alice", "example.org"), login(t, s.addr, "bob", "example.org")
	bob.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/><presence type='subscribed' to='alice@example.org'/>")
	bob.alive()
	alice.send("<presence/><presence type='subscribe' to='bob@example.org'/>")
	bob.until("subscription='from'")
	alice.close()
	bob.close()
	s.stop()
	operate(t, data, "", "user", "del", "alice@example.org")
	s = launch(t, data, "-domain", "example.org", "-registration", "open")
	if got := operate(t, data, "", "user", "list"); got != "bob@example.org\n" {
		t.Errorf("accounts %q", got)
	}
	bob = login(t, s.addr, "bob", "example.org")
	bob.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
	if got := bob.until("</iq>", "id='r'/>"); strings.Contains(got, "subscription='from'") {
		t.Errorf("bob's roster %s", got)
	}
	p := dial(t, s.addr, "example.org")
	if got := signUp(p, "", "alice", password); !strings.Contains(got, "<conflict ") {
		t.Errorf("the name of one who is gone: %s", got)
	}
	p.close()
	bob.close()
	operate(t, data, password, "user", "add", "alice@example.org") // an operator may
}
