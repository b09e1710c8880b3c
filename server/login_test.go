package server_test

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/server"
)

const (
	startTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	proceed  = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
)

// upgrade goes from a fresh connection in clear to TLS.
func (c *client) upgrade() {
	c.t.Helper()
	if got := c.features(); !strings.Contains(got, "<starttls ") {
		c.t.Fatalf("features %s without starttls", got)
	}
	c.send(startTLS)
	c.expect(proceed)
	c.secure(domain)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	c := dial(t, s.clear)
	c.send(header)
	wantHeader := "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.net' version='1.0' xml:lang='en'>"
	if got := c.header(); got != wantHeader {
		t.Errorf("header %s, want %s", got, wantHeader)
	}
	limits := func(n string) string {
		return "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>" + n + "</max-bytes>"
	}
	c.expect("<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>" + limits("32768") + "</limits></stream:features>")
	c.send(startTLS)
	c.expect(proceed)
	c.secure(domain)
	want := "<stream:features><mechanisms xmlns='" + nsSASL + "'><mechanism>PLAIN</mechanism></mechanisms>" + limits("32768") + "</limits></stream:features>"
	if got := c.features(); got != want {
		t.Errorf("features %s, want %s", got, want)
	}
	c.send(authElement("romeo", "secret"))
	c.expect("<success xmlns='" + nsSASL + "'/>")
	c.restart()
	want = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><required/></bind><session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>" +
		limits("262144") + "<idle-seconds>300</idle-seconds></limits></stream:features>"
	if got := c.features(); got != want {
		t.Errorf("features %s, want %s", got, want)
	}
	c.bind("home")
	if c.jid != "romeo@example.net/home" {
		t.Errorf("bound %s", c.jid)
	}
	c.alive()
	c.send(closing)
	c.expect(closing, end)
}

// TestSASLInClear: before TLS nothing of SASL is answered but that.
func TestSASLInClear(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	c := dial(t, s.clear)
	c.features()
	c.send(authElement("romeo", "secret"))
	c.expect("<failure xmlns='" + nsSASL + "'><encryption-required/></failure>")
	c.send(startTLS)
	c.expect(proceed)
	c.secure(domain)
	c.login("romeo")
	c.bind("")
	c.alive()
}

// TestInjectedBeforeTLS: what came in clear behind starttls never counts.
func TestInjectedBeforeTLS(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	c := dial(t, s.clear)
	c.features()
	c.send(startTLS + authElement("romeo", "secret"))
	c.expect("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", closing, end)
}

func TestSecondSTARTTLS(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for _, c := range []*client{dialTLS(t, s), dial(t, s.clear)} {
		if c.conn == c.tcp {
			c.upgrade()
		}
		if got := c.features(); strings.Contains(got, "starttls") {
			t.Errorf("features %s", got)
		}
		c.send(startTLS)
		c.expect("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", closing, end)
	}
}

func TestLoginFailures(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	c := beforeAuth(t, s)
	refused := "<failure xmlns='" + nsSASL + "'><not-authorized/></failure>"
	c.send(authElement("romeo", "wrong"))
	c.expect(refused)
	c.send(authElement("romeo", "also wrong"))
	c.expect(refused)
	c.send(authElement("romeo", "again wrong"))
	c.expect(refused)
	c.streamError("policy-violation")

	c = beforeAuth(t, s)
	c.send(authElement("romeo", "wrong") + authElement("romeo", "secret"))
	c.expect(refused, "<success xmlns='"+nsSASL+"'/>")
}

// TestPipelined sends everything at once.
func TestPipelined(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	juliet := enter(t, s, "juliet", "b")
	c := dialTLS(t, s)
	send, _ := message("", juliet.jid, "hello")
	again, _ := message("", juliet.jid, "again")
	c.send(header + authElement("romeo", "secret") + header + strings.Replace(bindIQ, "/>", "><resource>a</resource></bind>", 1) + send + again)
	c.header()
	c.next()
	c.expect("<success xmlns='" + nsSASL + "'/>")
	c.restart()
	c.header()
	c.next()
	c.bound()
	for _, body := range []string{"hello", "again"} {
		_, want := message("romeo@example.net/a", juliet.jid, body)
		juliet.expect(want)
	}
}

// TestByteByByte: input in the smallest of pieces, each a TLS record.
func TestByteByByte(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	juliet := enter(t, s, "juliet", "b")
	c := dialTLS(t, s)
	slowly := func(text string) {
		for i := range len(text) {
			c.send(text[i : i+1])
		}
	}
	slowly(header)
	c.header()
	c.next()
	slowly(authElement("romeo", "secret"))
	c.expect("<success xmlns='" + nsSASL + "'/>")
	c.restart()
	slowly(header)
	c.header()
	c.next()
	slowly(strings.Replace(bindIQ, "/>", "><resource>a</resource></bind>", 1))
	c.bound()
	send, want := message(c.jid, juliet.jid, strings.Repeat("ä", 100))
	slowly(send + closing)
	juliet.expect(want)
	c.expect(closing, end)
}

// valve lets through what it is told to.
type valve struct {
	net.Conn
	hold bool
	kept bytes.Buffer
}

func (v *valve) Write(p []byte) (int, error) {
	if v.hold {
		return v.kept.Write(p)
	}
	return v.Conn.Write(p)
}

// TestPartOfRecord: what a peer has caused goes out although the TLS record that
// follows is not there yet, and is no burden to others.
func TestPartOfRecord(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	juliet, mercutio := enter(t, s, "juliet", "b"), enter(t, s, "mercutio", "c")
	c := dial(t, s.direct)
	v := &valve{Conn: c.tcp}
	c.tcp = v
	c.secure(domain)
	c.login("romeo")
	c.bind("a")
	v.hold = true
	send, want := message(c.jid, juliet.jid, "hello")
	c.send(send)
	whole := v.kept.Len()
	c.send("<presence/>")
	_, err := v.Conn.Write(v.kept.Next(whole + 7))
	must(t, err)
	juliet.expect(want)
	mercutio.says(juliet, "me too")
	v.hold = false
	_, err = v.Conn.Write(v.kept.Bytes())
	must(t, err)
	c.alive()
}

// TestResourceConflict: the new session gets the resource, the old one is told.
func TestResourceConflict(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	juliet := enter(t, s, "juliet", "b")
	old := enter(t, s, "romeo", "a")
	c := enter(t, s, "romeo", "a")
	old.streamError("conflict")
	if c.jid != old.jid {
		t.Errorf("bound %s, want %s", c.jid, old.jid)
	}
	juliet.says(c, "hello")
	c.says(juliet, "hello")
}

func TestMaxSessions(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *server.Options) { o.Mux.MaxSessions = 2 })
	enter(t, s, "romeo", "a")
	enter(t, s, "romeo", "b")
	c := dialTLS(t, s)
	c.login("romeo")
	c.send(bindIQ)
	c.expect("<iq from='example.net' type='error' id='bind'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><resource-limit-exceeded xmlns='urn:xmpp:errors'/></error></iq>")
	c.bind("b") // in place of the other
	c.alive()
}

func TestMadeUpResources(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	var seen []string
	for range 3 {
		c := enter(t, s, "romeo", "")
		_, r, _ := strings.Cut(c.jid, "/")
		if len(r) < 20 || slices.Contains(seen, r) {
			t.Errorf("resource %q after %q", r, seen)
		}
		seen = append(seen, r)
	}
}
