package register_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
)

// byToken is a session that a token has let in.
func byToken(e *mux.Event) bool { return e.Session.JID().Resource() == "token" }

func demanded(id, formType string) string {
	fields := "<field type='text-single' var='username' label='*'><required/><value>romeo</value></field>"
	if formType == register.NS+":changepassword" {
		fields += "<field type='text-private' var='old_password' label='*'><required/></field>"
	}
	return "<iq type='error' id='" + id + "' from='*' to='*'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='form'><title>*</title><instructions>*</instructions>" +
		"<field type='hidden' var='FORM_TYPE'><value>" + formType + "</value></field>" + fields + "<field type='text-private' var='password' label='*'><required/></field></x></query>" +
		"<error code='401' type='modify'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
}

// TestChangeWithOld: PC-2: a session that came in by a token has to give the password,
// one with the password has not.
func TestChangeWithOld(t *testing.T) {
	for _, a := range addresses {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, &register.Options{AskPassword: byToken})
				c, plain := s.Connect(t, romeo+"/token"), s.Connect(t, romeo+"/plain")
				ask := func(id, fields, want string) {
					t.Helper()
					c.Send("<iq type='set' id='" + id + "'" + a.to + ">" + set(fields) + "</iq>")
					c.Expect(want)
				}
				change := func(old, new string) string {
					return form(register.NS+":changepassword", "username", "romeo@example.net", "old_password", old, "password", new)
				}
				ask("1", "<username>romeo</username><password>"+secret+"</password>", demanded("1", register.NS+":changepassword"))
				ask("2", form(register.NS, "username", "romeo", "password", secret), demanded("2", register.NS+":changepassword"))
				ask("3", "<username>juliet</username><password>"+secret+"</password>", errorOf("3", "405", "cancel", "not-allowed"))
				ask("4", change("wrong password", secret), errorWithText("4", "401", "auth", "not-authorized"))
				ask("5", change("", secret), errorOf("5", "400", "modify", "bad-request"))
				if !matches(t, s.store, romeo, password) || len(s.watch.seen) > 0 {
					t.Error("changed")
				}
				ask("6", change(password, secret), "<iq type='result' id='6' from='*' to='*'/>")
				plain.ExpectClosed("reset")
				if !matches(t, s.store, romeo, secret) {
					t.Error("not changed")
				}
				plain = s.Connect(t, romeo+"/plain")
				plain.Send("<iq type='set' id='7'>" + set("<username>romeo</username><password>"+password+"</password>") + "</iq>")
				plain.Expect("<iq type='result' id='7' from='*' to='*'/>")
			})
		})
	}
}

// TestGuessOld: wrong passwords count as failed logins: the third ends the session.
func TestGuessOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := newScene(t, &register.Options{AskPassword: byToken, Guessed: func(_ context.Context, e *mux.Event) { told = append(told, e.Session.JID().String()) }})
		c := s.Connect(t, romeo+"/token")
		for range 3 {
			if len(told) > 0 {
				t.Error("told too soon")
			}
			c.Send("<iq type='set' id='1'>" + set(form(register.NS+":cancel", "username", "romeo", "password", "guess")) + "</iq>")
			c.Expect(errorWithText("1", "401", "auth", "not-authorized"))
		}
		c.ExpectClosed("policy-violation")
		if len(told) != 1 || told[0] != romeo+"/token" {
			t.Errorf("told of %v", told)
		}
		if !matches(t, s.store, romeo, password) {
			t.Error("the account is gone")
		}
	})
}

// TestRemoveWithPassword: PC-9.
func TestRemoveWithPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, &register.Options{AskPassword: byToken})
		c := s.Connect(t, romeo+"/token")
		c.Send("<iq type='set' id='1'>" + set("<remove/>") + "</iq>")
		c.Expect(demanded("1", register.NS+":cancel"))
		c.Send("<iq type='set' id='2'>" + set("<remove/><x xmlns='urn:example'/>") + "</iq>")
		c.Expect(errorOf("2", "400", "modify", "bad-request"))
		c.Send("<iq type='set' id='3'>" + set(form(register.NS+":cancel", "username", "juliet", "password", password)) + "</iq>")
		c.Expect(errorOf("3", "405", "cancel", "not-allowed"))
		c.Send("<iq type='set' id='4'>" + set(form(register.NS+":cancel", "username", "romeo", "password", password)) + "</iq>")
		c.Expect("<iq type='result' id='4' from='*' to='*'/>")
		c.ExpectClosed("not-authorized")
		if _, err := s.store.Credentials(t.Context(), romeo); !errors.Is(err, scram.ErrNoAccount) {
			t.Errorf("credentials: %v", err)
		}
	})
}

// TestHooks: AB-8: a veto says why; every try is noted, without secrets.
func TestHooks(t *testing.T) {
	t.Parallel()
	var notes []string
	s := newSite(t, register.Options{Policy: register.Open, Limiter: register.Unlimited{},
		Before: func(_ context.Context, r *register.Request, a mux.Address) error {
			if a.Local() == "evil" {
				return &mux.Error{Stanza: stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}, Code: 403}
			}
			return nil
		},
		Audit: func(_ context.Context, a register.Audit) {
			result := "made"
			if a.Err != nil {
				result = "refused"
			}
			notes = append(notes, strings.Join([]string{string(a.Path), a.Source.String(), a.Account.Local(), result}, " "))
		}})
	for name, want := range map[string]string{"evil": "auth forbidden 403"} {
		if got := s.stranger(t, 1).create(name, password); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := s.stranger(t, 2).create("good", password); got != "" {
		t.Errorf("good: %q", got)
	}
	if got := strings.Join(notes, ", "); got != "in-band 192.0.2.1 evil refused, in-band 192.0.2.2 good made" {
		t.Errorf("notes %s", got)
	}
}
