//go:build clients

package clienttest

import (
	"strings"
	"testing"
)

// TestSlixmpp: services, messages both ways and in order, roster, presence.
func TestSlixmpp(t *testing.T) {
	s := startServer(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			slixmpp(t, s, via, "chat", alice, bob).done(t, limit)
		})
	}
}

// TestXMPPJS does the same with another library, which enables more by itself.
func TestXMPPJS(t *testing.T) {
	s := startServer(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			xmppjs(t, s, via, password, "chat", alice, bob).done(t, limit)
		})
	}
}

// TestSlixmppToXMPPJS: two libraries talk with each other, one over STARTTLS
// and one over direct TLS.
func TestSlixmppToXMPPJS(t *testing.T) {
	s := startServer(t)
	via := s.transports()
	t.Run("slixmpp begins", func(t *testing.T) {
		echo := xmppjs(t, s, via[1], password, "echo", bob)
		echo.expect(t, "online", limit)
		slixmpp(t, s, via[0], "say", alice, bob, "from <slixmpp>").done(t, limit)
		echo.expect(t, "got "+alice+" from <slixmpp>", limit)
		echo.done(t, limit)
	})
	t.Run("xmpp.js begins", func(t *testing.T) {
		echo := slixmpp(t, s, via[1], "echo", bob)
		echo.expect(t, "online", limit)
		xmppjs(t, s, via[0], password, "say", alice, bob, "from <xmpp.js>").done(t, limit)
		echo.expect(t, "got "+alice+" from <xmpp.js>", limit)
		echo.done(t, limit)
	})
}

// TestMechanisms logs in with each mechanism that slixmpp knows and the server
// offers.
func TestMechanisms(t *testing.T) {
	s := startServer(t)
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"} {
		t.Run(mechanism, func(t *testing.T) {
			if s.remote && mechanism == "SCRAM-SHA-256" {
				t.Skip("not every server offers it")
			}
			slixmpp(t, s, s.transports()[0], "login", alice, mechanism).done(t, limit)
		})
	}
}

// TestSlixmppUnmodified leaves the choice of the mechanism to slixmpp, which binds
// to tls-unique whatever the server offers. On TLS 1.2 that works; on TLS 1.3, which
// has no such binding, it must be refused, and so must its claim that the server
// cannot bind, unless the operator is lenient.
func TestSlixmppUnmodified(t *testing.T) {
	s := startServer(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			slixmpp(t, s, via, "login-unmodified", alice, "1.2").done(t, limit)
			if !s.remote {
				if got := s.loggedIn(t, alice); !strings.HasSuffix(got, "-PLUS") {
					t.Errorf("on TLS 1.2 it logged in with %s", got)
				}
				slixmpp(t, s, via, "login-unmodified", alice, "1.3").expect(t, "failed: "+alice+": login ended with ", limit)
			}
		})
	}
}

// TestSlixmppLenient lets the same client in.
func TestSlixmppLenient(t *testing.T) {
	s := startServer(t, "-sasl-y-lenient", "on")
	s.ownServerOnly(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			slixmpp(t, s, via, "login-unmodified", alice, "1.3").done(t, limit)
		})
	}
}

// loggedIn is the mechanism of an account's last login, by the server's log.
func (s *server) loggedIn(t *testing.T, account string) string {
	t.Helper()
	text, _ := s.text()
	_, line, found := cutLast(text, "msg=authenticated account="+account+" mechanism=")
	if !found {
		t.Fatalf("%s has not logged in:\n%s", account, s.tail())
	}
	mechanism, _, _ := strings.Cut(line, "\n")
	return mechanism
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// TestPlainOff: with -sasl-plain off a client that knows PLAIN only is refused,
// and others are not affected.
func TestPlainOff(t *testing.T) {
	s := startServer(t, "-sasl-plain", "off")
	s.ownServerOnly(t)
	slixmpp(t, s, s.transports()[0], "login", alice).done(t, limit)
	plain := slixmpp(t, s, s.transports()[0], "login", alice, "PLAIN")
	plain.expect(t, "failed: "+alice+": login ended with failed_all_auth", limit)
}

// TestRegistrationClosed: what a server does not offer, it refuses as well.
func TestRegistrationClosed(t *testing.T) {
	s := startServer(t, "-registration", "closed")
	s.ownServerOnly(t)
	const carol = "carol@" + domain
	x := slixmpp(t, s, s.transports()[0], "register", carol)
	// With failed_all_auth, or with the stream error after too many attempts: slixmpp
	// tries every mechanism there is.
	x.expect(t, "failed: "+carol+": login ended with ", limit)
}

// TestWrongPassword: refused with not-authorized, and the right one is accepted
// afterwards.
func TestWrongPassword(t *testing.T) {
	s := startServer(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			slixmpp(t, s, via, "refused", alice, "not the "+password).done(t, limit)
			slixmpp(t, s, via, "refused", alice, "not the "+password, "PLAIN").done(t, limit)
			slixmpp(t, s, via, "login", alice).done(t, limit)
		})
	}
	t.Run("xmpp.js", func(t *testing.T) {
		xmppjs(t, s, s.transports()[0], "not the "+password, "refused", alice).done(t, limit)
		xmppjs(t, s, s.transports()[1], "not the "+password, "refused", alice, "PLAIN").done(t, limit)
	})
	t.Run("unknown account", func(t *testing.T) {
		slixmpp(t, s, s.transports()[0], "refused", "nobody@"+domain, password).done(t, limit)
	})
}

// TestRegistration: a client makes an account, uses it and removes it
// (XEP-0077). A name that was removed is not given again.
func TestRegistration(t *testing.T) {
	s := startServer(t, "-registration", "open")
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			slixmpp(t, s, via, "register", "of."+via.name+"@"+domain).done(t, limit)
		})
	}
}
