package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/sasl2"
)

// TestOvertaken: what was verified a moment before the password changed gives nobody a
// session a moment after, however he logs in, binds or resumes, and whoever has changed
// it; the account's own session that did so stays, and cannot be had by resuming it
// (auth-register PC-3).
func TestOvertaken(t *testing.T) {
	t.Parallel()
	const bind = "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	now := new(moment)
	s := launchInside(t, data, func(st *stores) {
		st.accounts, st.clients = watched{now, st.accounts}, watchedClients{now, st.clients}
	})
	secret, n := password, 0
	newSecret := func() string {
		n++
		return fmt.Sprintf("battery staple %d", n)
	}
	plain := func(secret string) string { return encode("\x00alice\x00" + secret) }
	older := func(secret string) string {
		return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain(secret) + "</auth>"
	}
	newer := func(secret, more string) string {
		return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" + plain(secret) + "</initial-response>" + agent + more + "</authenticate>"
	}
	byToken := func(token, more string) string {
		m, _ := sasl2.ParseHT("HT-SHA-256-NONE")
		return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + m.Name() + "'><initial-response>" + encode(string(m.Initial("alice", token, nil))) +
			"</initial-response>" + agent + "<fast xmlns='urn:xmpp:fast:0'/>" + more + "</authenticate>"
	}
	resume := func(id string) string { return "<resume xmlns='urn:xmpp:sm:3' previd='" + id + "' h='0'/>" }
	for _, tt := range []struct {
		name, who string
		login     func(secret, token, id string) string
	}{
		{"SASL", "operator", func(secret, _, _ string) string { return older(secret) }},
		{"Bind 2", "operator", func(secret, _, _ string) string { return newer(secret, bind) }},
		{"resumption or Bind 2", "own session", func(secret, _, id string) string { return newer(secret, bind+resume(id)) }},
		{"token and Bind 2", "operator", func(_, token, _ string) string { return byToken(token, bind) }},
		{"token and resumption", "own session", func(_, token, id string) string { return byToken(token, resume(id)) }},
	} {
		came, resets := true, 0
		for looks := 1; came; looks++ {
			what := fmt.Sprintf("%s, %s, look %d", tt.name, tt.who, looks)
			token := ""
			if strings.HasPrefix(tt.name, "token") {
				token = issueToken(t, s.addr, secret)
			}
			own, success := bound(t, s.addr, "", secret, strings.Replace(bind, "<enable", "<tag>own</tag><enable", 1))
			id := between(between(success, "<enabled ", "/>"), "id='", "'")
			p, _ := as(t, s.addr, "alice")
			next := newSecret()
			now.after(looks, func() {
				if tt.who == "operator" {
					if err := s.people.SetPassword(t.Context(), "alice@example.org", next); err != nil {
						t.Errorf("%s: %v", what, err)
					}
					return
				}
				if got := own.inRegister("<username>alice</username><password>" + next + "</password>"); got != "result" {
					t.Errorf("%s: change: %s", what, got)
				}
			})
			p.send(tt.login(secret, token, id))
			got := p.until("</failure>", "</success>", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "</stream:stream>")
			came = now.come()
			if !came {
				if !strings.Contains(got, "<success") || looks < 3 {
					t.Errorf("%s: undisturbed: %s", what, got)
				}
				p.close()
				own.close()
				break
			}
			if strings.HasPrefix(got, "<success") {
				got += p.until("</stream:stream>")
			}
			switch {
			case strings.Contains(got, "<bound"), strings.Contains(got, "<resumed"):
				t.Errorf("%s: a session: %s", what, got)
			case strings.Contains(got, "<reset "):
				resets++
			case !strings.Contains(got, "<failure"): // it was found out by itself
				t.Errorf("%s: %s", what, got)
			}
			p.close()
			secret = next
			if tt.who == "operator" {
				if got := own.until("</stream:stream>"); !strings.Contains(got, "<reset ") {
					t.Errorf("%s: the other session: %s", what, got)
				}
			} else {
				own.alive()
			}
			own.close()
		}
		if resets == 0 {
			t.Errorf("%s: no login was overtaken", tt.name)
		}
	}
}

// TestOvertakenBeforeBinding: the same between the success and the request that binds.
func TestOvertakenBeforeBinding(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	s := launchInside(t, data, nil)
	p := dial(t, s.addr, "example.org")
	if got := p.authenticate("alice", password); got != "success" {
		t.Fatal(got)
	}
	p.open("example.org")
	p.until("</stream:features>")
	if err := s.people.SetPassword(t.Context(), "alice@example.org", "battery staple"); err != nil {
		t.Fatal(err)
	}
	p.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
	if got := p.until("</stream:stream>"); !strings.Contains(got, "<reset ") || strings.Contains(got, "<jid>") {
		t.Errorf("got %s", got)
	}
	p.close()
}
