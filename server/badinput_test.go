package server_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/server"
)

// phase brings a new client to where bad input is sent.
type phase func(t *testing.T, s *site) *client

func inClear(t *testing.T, s *site) *client {
	return dial(t, s.clear)
}

func inTLS(t *testing.T, s *site) *client {
	return dialTLS(t, s)
}

func beforeAuth(t *testing.T, s *site) *client {
	c := dialTLS(t, s)
	c.features()
	return c
}

func beforeBind(t *testing.T, s *site) *client {
	c := dialTLS(t, s)
	c.login("mercutio")
	return c
}

func withSession(t *testing.T, s *site) *client {
	return enter(t, s, "mercutio", "bad")
}

// TestBadStreams sends what ends a stream, and wants exactly the stream error for
// it, the end of the stream and that of the connection, while others are served.
func TestBadStreams(t *testing.T) {
	t.Parallel()
	s := open(t, limited(func(l *server.Limits) { l.StanzaBytes = 20 << 10; l.PreAuthBytes = 10 << 10 }))
	romeo, juliet := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
	in := func(content string) string {
		return strings.Replace(header, "'jabber:client'", "'"+content+"'", 1)
	}
	long := "<message><body>" + strings.Repeat("x", 41<<10) + "</body></message>"
	tests := []struct {
		name  string
		phase phase
		send  string
		want  string // condition
		app   string
	}{
		{"not well-formed header", inTLS, "<stream:stream xmlns='jabber:client' <", "not-well-formed", ""},
		{"no XML at all", inClear, "GET / HTTP/1.1\r\n\r\n", "not-well-formed", ""},
		{"wrong stream namespace", inTLS, strings.Replace(header, "etherx.jabber.org", "example.net", 1), "invalid-namespace", ""},
		{"wrong content namespace", inTLS, in("jabber:server"), "invalid-namespace", ""},
		{"unknown content namespace", inTLS, in("urn:example:content"), "invalid-namespace", ""},
		{"not a stream", inTLS, "<foo xmlns='http://etherx.jabber.org/streams'>", "bad-format", ""},
		{"unknown host", inTLS, strings.Replace(header, "example.net", "example.com", 1), "host-unknown", ""},
		{"malformed host", inTLS, strings.Replace(header, "example.net", "a@example.net", 1), "host-unknown", ""},
		{"no version", inTLS, strings.Replace(header, " version='1.0' to", " to", 1), "unsupported-version", ""},
		{"old version", inTLS, strings.Replace(header, " version='1.0' to", " version='0.9' to", 1), "unsupported-version", ""},
		{"other encoding", inTLS, strings.Replace(header, "?>", " encoding='latin1'?>", 1), "unsupported-encoding", ""},
		{"byte order mark", inTLS, "\xef\xbb\xbf" + header, "not-well-formed", ""},
		{"DTD before the stream", inTLS, "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]>" + header, "restricted-xml", ""},

		{"message before authentication", beforeAuth, "<message to='romeo@example.net'><body>x</body></message>", "not-authorized", ""},
		{"presence before authentication", beforeAuth, "<presence/>", "not-authorized", ""},
		{"request before authentication", beforeAuth, "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", "not-authorized", ""},
		{"bind before authentication", beforeAuth, bindIQ, "not-authorized", ""},
		{"unknown before authentication", beforeAuth, "<x xmlns='urn:example:unknown'/>", "not-authorized", ""},
		{"oversized before authentication", beforeAuth, "<iq type='get'>" + strings.Repeat("x", 11<<10), "policy-violation", tooBig},
		{"deep before authentication", beforeAuth, strings.Repeat("<x>", 17), "policy-violation", ""},
		{"message before bind", beforeBind, "<message to='romeo@example.net'><body>x</body></message>", "not-authorized", ""},
		{"request before bind", beforeBind, "<iq type='get' id='1' to='romeo@example.net'><x xmlns='urn:example:unknown'/></iq>", "not-authorized", ""},
		{"SASL after SASL", beforeBind, authElement("mercutio", "secret"), "not-authorized", ""},
		{"deep bind", beforeBind, strings.Repeat("<x>", 65), "policy-violation", ""},

		{"not well-formed", withSession, "<message><body></message>", "not-well-formed", ""},
		{"undeclared prefix", withSession, "<message><a:body/></message>", "not-well-formed", ""},
		{"double attribute", withSession, "<message id='a' id='b'/>", "not-well-formed", ""},
		{"illegal character", withSession, "<message><body>&#0;</body></message>", "not-well-formed", ""},
		{"comment", withSession, "<message><!-- x --></message>", "restricted-xml", ""},
		{"comment between stanzas", withSession, "<!-- x -->", "restricted-xml", ""},
		{"processing instruction", withSession, "<message><?php x?></message>", "restricted-xml", ""},
		{"DTD", withSession, "<!DOCTYPE lolz [<!ENTITY lol 'lol'>]>", "restricted-xml", ""},
		{"entity", withSession, "<message><body>&lol;</body></message>", "restricted-xml", ""},
		{"XML declaration", withSession, "<?xml version='1.0'?>", "not-well-formed", ""},
		{"invalid UTF-8", withSession, "<message><body>\xff</body></message>", "unsupported-encoding", ""},
		{"overlong UTF-8", withSession, "<message><body>\xc0\xaf</body></message>", "unsupported-encoding", ""},
		{"surrogate", withSession, "<message><body>\xed\xa0\x80</body></message>", "unsupported-encoding", ""},
		{"oversized", withSession, long, "policy-violation", tooBig},
		{"never ending", withSession, "<message " + strings.Repeat(" ", 41<<10), "policy-violation", tooBig},
		{"oversized and no stanza", withSession, "<x xmlns='urn:example:unknown'>" + strings.Repeat("x", 21<<10) + "</x>", "policy-violation", tooBig},
		{"oversized before bind", beforeBind, bindIQ[:len(bindIQ)-len("</iq>")] + strings.Repeat(" ", 21<<10) + "</iq>", "policy-violation", tooBig},
		{"depth bomb", withSession, "<message>" + strings.Repeat("<x>", 64), "policy-violation", ""},
		{"attribute bomb", withSession, "<message " + bomb("a%='' ", 65) + "/>", "policy-violation", ""},
		{"namespace bomb", withSession, "<message " + bomb("xmlns:a%='urn:x' ", 65) + "/>", "policy-violation", ""},
		{"element bomb", withSession, "<message>" + strings.Repeat("<a/>", 10_000), "policy-violation", ""},
		{"long name", withSession, "<" + strings.Repeat("n", 257), "policy-violation", ""},
		{"text between stanzas", withSession, "hello", "bad-format", ""},
		{"second stream header", withSession, "<stream:stream/>", "unsupported-stanza-type", ""},
		{"unknown element", withSession, "<x xmlns='urn:example:unknown'/>", "unsupported-stanza-type", ""},
		{"unknown stanza", withSession, "<query/>", "unsupported-stanza-type", ""},
		{"features of a client", withSession, "<stream:features/>", "unsupported-stanza-type", ""},
		{"spoofed sender", withSession, "<message from='romeo@example.net/a' to='juliet@example.net'/>", "invalid-from", ""},
		{"spoofed resource", withSession, "<message from='mercutio@example.net/other' to='juliet@example.net'/>", "invalid-from", ""},
		{"malformed sender", withSession, "<message from='@' to='juliet@example.net'/>", "invalid-from", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			romeo.t, juliet.t = t, t
			c := tt.phase(t, s)
			c.send(tt.send)
			got := c.next()
			if strings.HasPrefix(got, "<?xml") { // RFC 6120 §4.9.1.2
				got = c.next()
			}
			if want := streamError(tt.want, tt.app); got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
			c.expect(closing, end)
			romeo.says(juliet, tt.name)
		})
	}
}

// bomb repeats a text with numbers in place of %.
func bomb(text string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(text, "%", strings.Repeat("b", i)))
	}
	return b.String()
}

// TestBadStanzas sends what a stream outlives, and wants exactly the answer.
func TestBadStanzas(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	c := enter(t, s, "mercutio", "bad")
	juliet := enter(t, s, "juliet", "b")
	const me = " to='mercutio@example.net/bad'"
	stanzaError := func(typ, condition string) string {
		return "<error type='" + typ + "'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	}
	unavailable, badRequest := stanzaError("cancel", "service-unavailable"), stanzaError("modify", "bad-request")
	tests := []struct{ name, send, want string }{
		{"unknown request to the server", "<iq type='get' id='1' to='example.net'><x xmlns='urn:example:unknown'/></iq>",
			"<iq from='example.net'" + me + " type='error' id='1'>" + unavailable + "</iq>"},
		{"unknown request to nobody", "<iq type='get' id='1'><x xmlns='urn:example:unknown'/></iq>",
			"<iq from='mercutio@example.net'" + me + " type='error' id='1'>" + unavailable + "</iq>"},
		{"unknown request to an account", "<iq type='get' id='1' to='juliet@example.net'><x xmlns='urn:example:unknown'/></iq>",
			"<iq from='juliet@example.net'" + me + " type='error' id='1'>" + unavailable + "</iq>"},
		{"request to a resource that is not there", "<iq type='get' id='1' to='juliet@example.net/x'><x xmlns='urn:example:unknown'/></iq>",
			"<iq from='juliet@example.net/x'" + me + " type='error' id='1'>" + unavailable + "</iq>"},
		{"request to an account that does not exist", "<iq type='get' id='1' to='ghost@example.net/x'><x xmlns='urn:example:unknown'/></iq>",
			"<iq from='ghost@example.net/x'" + me + " type='error' id='1'>" + unavailable + "</iq>"},
		{"request without id", "<iq type='get'><x xmlns='urn:example:unknown'/></iq>",
			"<iq" + me + " type='error'>" + badRequest + "</iq>"},
		{"request without payload", "<iq type='get' id='1' to='example.net'/>",
			"<iq from='example.net'" + me + " type='error' id='1'>" + badRequest + "</iq>"},
		{"request with two payloads", "<iq type='set' id='1' to='example.net'><x xmlns='urn:a'/><x xmlns='urn:b'/></iq>",
			"<iq from='example.net'" + me + " type='error' id='1'>" + badRequest + "</iq>"},
		{"request without type", "<iq id='1' to='example.net'><x xmlns='urn:example:unknown'/></iq>",
			"<iq from='example.net'" + me + " type='error' id='1'>" + badRequest + "</iq>"},
		{"error without error", "<iq type='error' id='1' to='example.net'/>", ""},
		{"result that nobody asked for", "<iq type='result' id='1' to='example.net'/>", ""},
		{"presence of unknown type", "<presence type='invisible' id='1' to='juliet@example.net'/>",
			"<presence from='juliet@example.net'" + me + " type='error' id='1'>" + badRequest + "</presence>"},
		{"malformed to", "<message id='1' to='a@b@c'><body>x</body></message>",
			"<message" + me + " type='error' id='1' from='a@b@c'>" + stanzaError("modify", "jid-malformed") + "</message>"},
		{"malformed to of an error", "<message type='error' id='1' to='@'/>", ""},
		{"message to an unknown user", "<message id='1' to='ghost@example.net'><body>x</body></message>",
			"<message from='ghost@example.net'" + me + " type='error' id='1'>" + unavailable + "</message>"},
		{"message to the server", "<message id='1' to='example.net'><body>x</body></message>",
			"<message from='example.net'" + me + " type='error' id='1'>" + unavailable + "</message>"},
		{"message to another domain", "<message id='1' to='romeo@example.com'><body>x</body></message>",
			"<message from='romeo@example.com'" + me + " type='error' id='1'>" + stanzaError("cancel", "remote-server-not-found") + "</message>"},
		{"error to another domain", "<message type='error' id='1' to='romeo@example.com'/>", ""},
		{"groupchat to an account", "<message type='groupchat' id='1' to='juliet@example.net'><body>x</body></message>",
			"<message from='juliet@example.net'" + me + " type='error' id='1'>" + unavailable + "</message>"},
		{"second bind", bindIQ, "<iq from='mercutio@example.net'" + me + " type='error' id='bind'>" + stanzaError("cancel", "not-allowed") + "</iq>"},
		{"session", "<iq type='set' id='1' to='example.net'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
			"<iq from='example.net'" + me + " type='result' id='1'/>"},
		{"white space", " \r\n\t ", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.t, juliet.t = t, t
			c.send(tt.send)
			if tt.want != "" {
				c.expect(tt.want)
			}
			c.alive() // and nothing came before the answer
			c.says(juliet, tt.name)
		})
	}
	c.t, juliet.t = t, t
	for _, from := range []string{"mercutio@example.net", "mercutio@example.net/bad", "MERCUTIO@EXAMPLE.NET"} {
		c.send("<message from='" + from + "' to='" + juliet.jid + "'/>")
		juliet.expect("<message from='mercutio@example.net/bad' to='juliet@example.net/b'/>")
	}
}

// TestAfterClose: nothing behind the end of the stream counts.
func TestAfterClose(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	romeo, juliet := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
	send, want := message(romeo.jid, juliet.jid, "before")
	after, _ := message(romeo.jid, juliet.jid, "after")
	romeo.send(send + "<iq type='get' id='last' to='example.net'><x xmlns='urn:example:unknown'/></iq>" + closing + after + "<garbage")
	if got := romeo.next(); !strings.Contains(got, "id='last'") {
		t.Errorf("got %s, want the last answer", got)
	}
	romeo.expect(closing, end)
	juliet.expect(want)
	juliet.alive()
}
