package server_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/server"
)

func twoDomains(o *server.Options) { o.Domains = []string{domain, otherDomain} }

// at is a client of the other domain.
func (c *client) at(user, resource string) *client {
	c.t.Helper()
	h := strings.Replace(header, domain, otherDomain, 1)
	c.send(h)
	c.header()
	c.next()
	c.send(authElement(user, "secret"))
	c.expect("<success xmlns='" + nsSASL + "'/>")
	c.restart()
	c.send(h)
	c.header()
	c.next()
	c.bind(resource)
	return c
}

// TestVirtualHosts: accounts of two domains are different ones, and reach each
// other.
func TestVirtualHosts(t *testing.T) {
	t.Parallel()
	s := open(t, twoDomains)
	a := enter(t, s, "romeo", "x")
	b := dialTLS(t, s).at("romeo", "x")
	if a.jid != "romeo@example.net/x" || b.jid != "romeo@example.org/x" {
		t.Fatalf("bound %s and %s", a.jid, b.jid)
	}
	a.says(b, "hello, namesake")
	b.says(a, "hello")
	// To the bare address: each gets his own.
	a.send("<presence/>")
	b.send("<presence/>")
	a.alive() // and with that available, as is b
	b.alive()
	for to, c := range map[string]*client{"romeo@example.net": a, "romeo@example.org": b} {
		send, want := message(a.jid, to, "for "+to)
		a.send(send)
		c.expect(want)
	}
	b.send("<iq type='get' id='1' to='example.net'><x xmlns='urn:example:unknown'/></iq>")
	if got := b.next(); !strings.HasPrefix(got, "<iq from='example.net' to='romeo@example.org/x' type='error' id='1'>") {
		t.Errorf("the other domain answers %s", got)
	}
	b.send("<message from='" + a.jid + "' to='" + a.jid + "'/>")
	b.streamError("invalid-from")
	a.alive()
}

// TestDomainOfRestart: authenticated for one domain, a client cannot go on with
// another.
func TestDomainOfRestart(t *testing.T) {
	t.Parallel()
	s := open(t, twoDomains)
	c := beforeAuth(t, s)
	c.send(authElement("romeo", "secret"))
	c.expect("<success xmlns='" + nsSASL + "'/>")
	c.restart()
	c.send(strings.Replace(header, domain, otherDomain, 1))
	c.header()
	c.streamError("not-authorized")
}

func TestDefaultDomain(t *testing.T) {
	t.Parallel()
	nameless := strings.Replace(header, " to='example.net'", "", 1)
	c := dialTLS(t, open(t, nil))
	c.send(nameless)
	if got := c.header(); !strings.Contains(got, " from='example.net'") {
		t.Errorf("header %s", got)
	}
	c.next()
	c.send(authElement("romeo", "secret"))
	c.expect("<success xmlns='" + nsSASL + "'/>")

	c = dialTLS(t, open(t, twoDomains))
	c.send(nameless)
	if got := c.header(); !strings.Contains(got, " from='example.net'") {
		t.Errorf("header %s", got)
	}
	c.streamError("host-unknown")
}

// TestServerName: the name in the handshake chooses the certificate, to in the
// header the domain.
func TestServerName(t *testing.T) {
	t.Parallel()
	s := open(t, twoDomains)
	for _, name := range []string{domain, otherDomain} {
		c := dial(t, s.direct)
		c.secure(name, "xmpp-client")
		cs := c.conn.(*tls.Conn).ConnectionState()
		if got := cs.PeerCertificates[0].DNSNames[0]; got != name {
			t.Errorf("certificate of %s for %s", got, name)
		}
		if cs.NegotiatedProtocol != "xmpp-client" {
			t.Errorf("protocol %q", cs.NegotiatedProtocol)
		}
		if cs.Version < tls.VersionTLS12 {
			t.Errorf("TLS version %x", cs.Version)
		}
		if c.at("romeo", "").jid == "" {
			t.Error("no session")
		}
	}
	old := tls.Client(dial(t, s.direct).tcp, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	if err := old.Handshake(); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	wrong := tls.Client(dial(t, s.direct).tcp, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := wrong.Handshake(); err == nil {
		t.Error("another protocol is accepted")
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	good := server.Options{Domains: []string{domain}, Accounts: people{}, SASL: people{}}
	if _, err := server.New(&good); err != nil {
		t.Errorf("New: %v", err)
	}
	for name, change := range map[string]func(o *server.Options){
		"no domain":     func(o *server.Options) { o.Domains = nil },
		"empty domain":  func(o *server.Options) { o.Domains = []string{""} },
		"not a domain":  func(o *server.Options) { o.Domains = []string{"a@example.net"} },
		"with resource": func(o *server.Options) { o.Domains = []string{"example.net/x"} },
		"no accounts":   func(o *server.Options) { o.Accounts = nil },
		"no SASL":       func(o *server.Options) { o.SASL = nil },
	} {
		o := good
		change(&o)
		if _, err := server.New(&o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := server.New(nil); err == nil {
		t.Error("nil: no error")
	}
}

// TestWithoutTLS: a server without certificates is for connections that never
// leave the machine.
func TestWithoutTLS(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *server.Options) { o.Certificate = nil })
	c := dial(t, s.clear)
	c.login("romeo")
	c.bind("a")
	c.alive()
	refused(t, s.direct)
}
