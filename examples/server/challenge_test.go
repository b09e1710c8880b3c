package main

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/register"
)

// launchChallenging is a server that wants proof of work.
func launchChallenging(t *testing.T, policy string) (s *running, data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	return launch(t, data, "-domain", "example.org", "-registration", policy, "-registration-challenge", "pow", "-http", "127.0.0.1:0"), data
}

// TestChallengeInBand: clients that do the work make accounts; others are refused and told
// of the page, and who is invited has nothing to do (auth-register AB-5, IV-7).
func TestChallengeInBand(t *testing.T) {
	t.Parallel()
	s, data := launchChallenging(t, "open")
	p := dial(t, s.addr, "example.org")
	p.until("</stream:features>")
	p.send("<iq type='get' id='g'><query xmlns='" + nsRegister + "'/></iq>")
	form := p.until("</iq>")
	if !strings.Contains(form, "var='SHA-256'") || strings.Contains(form, "<password") || !strings.Contains(form, "<url>"+s.webAddress(t)+"/register</url>") {
		t.Errorf("form %s", form)
	}
	for _, fields := range []string{
		"<username>bob</username><password>" + password + "</password>",
		"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" + nsRegister + "</value></field><field var='username'><value>bob</value></field>" +
			"<field var='password'><value>" + password + "</value></field></x>",
	} {
		p.send("<iq type='set' id='s'><query xmlns='" + nsRegister + "'>" + fields + "</query></iq>")
		if got := p.until("id='s'/>", "</iq>"); !strings.Contains(got, "service-unavailable") || !strings.Contains(got, "challenge") {
			t.Errorf("without an answer: %s", got)
		}
	}
	if got := p.authenticateNow("bob", password); got != "not-authorized" {
		t.Errorf("login without an account: %s", got)
	}
	p.close()

	if _, err := newAccount(t, s.addr, "alice@example.org", password, &register.ClientOptions{Password: password, MaxBits: -1}); err == nil {
		t.Error("an account without work")
	} else if c := condition(err); c != stanza.NotAcceptable && c != stanza.ServiceUnavailable {
		t.Errorf("without work: %v", err)
	}
	if _, err := newAccount(t, s.addr, "carol@example.org", password, &register.ClientOptions{Password: password}); err != nil {
		t.Errorf("with work: %v", err)
	}

	link := strings.TrimSpace(operate(t, data, "", "invite"))
	_, token, _ := strings.Cut(link, "#")
	p = dial(t, s.addr, "example.org")
	if got := signUp(p, token, "dave", password); !strings.Contains(got, "'result'") {
		t.Errorf("invited: %s", got)
	}
	p.close()
	if got := operate(t, data, "", "user", "list"); strings.Join(strings.Fields(got), " ") != "carol@example.org dave@example.org" {
		t.Errorf("accounts: %s", got)
	}
}

// TestChallengeWeb: the page has the work done, and makes no account without it.
func TestChallengeWeb(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"open", "approve"} {
		s, _ := launchChallenging(t, policy)
		base := s.webAddress(t)
		v := newVisitor(t)
		status, page := v.visit(base+"/register", nil)
		label := between(page, `data-work="`, `"`)
		if status != 200 || label == "" || !strings.Contains(page, "must run scripts") {
			t.Fatalf("%s: %d %s", policy, status, page)
		}
		form := func() url.Values {
			return url.Values{"form": {hidden(page, "form")}, "domain": {"example.org"}, "challenge": {hidden(page, "challenge")}, "username": {"bob"}, "password": {password}}
		}
		status, page = v.visit(base+"/account", form())
		if status != 422 || !strings.Contains(page, "has not done its work") {
			t.Errorf("%s: without work: %d %s", policy, status, page)
		}
		f := form()
		answer, err := register.SolveHashcash(t.Context(), "example.org", between(page, `data-work="`, `"`), register.DefaultBits)
		if err != nil {
			t.Fatal(err)
		}
		f.Set("answer-SHA-256", answer)
		if status, page = v.visit(base+"/account", f); status != 200 || !strings.Contains(page, "bob@example.org") {
			t.Errorf("%s: with work: %d %s", policy, status, page)
		}
	}
}
