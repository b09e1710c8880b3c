package negotiate_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/negotiate"
)

// transcript is one conversation and how it ends.
type transcript struct {
	name string
	with func(*setup) // nil: TLS is not needed
	text string
	err  string // part of Serve's error; empty if the server is still willing
}

func two(s *setup) {
	s.opt.Domains = func() []string { return []string{"example.net", "example.org"} }
}

// headers are about stream headers: core-im ER-1, ER-4, LC-2 to LC-4, XS-2 to
// XS-8.
var headers = []transcript{
	{name: "only domain by default", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\nS: {head}{auth}"},
	{name: "prefix-free", text: "C: <stream xmlns='http://etherx.jabber.org/streams' to='example.net' version='1.0'>\nS: {head}{auth}\nC: <auth{sasl} mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>\nS: {success}"},
	{name: "prepared domain", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='EXAMPLE.net' version='1.0'>\nS: {head}{auth}"},
	{name: "id and language", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='x' xml:lang='de' to='example.net' version='1.0'>\nS: {head}{auth}"},
	{name: "our language and limits", with: func(s *setup) {
		s.opt.Lang = "de"
		s.opt.SASL = noSASL{}
		s.opt.PreAuth.MaxBytes = -1
	}, text: "C: {open}\nS: <?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.net' id='ID' version='1.0' xml:lang='de'><stream:features></stream:features>\n" +
		"C: {romeo}\nS: <failure{sasl}><invalid-mechanism/></failure>"},
	{name: "no default domain", with: func(s *setup) { s.opt.Domains = func() []string { return nil } }, text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\n" +
		"S: <?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='ID' version='1.0' xml:lang='en'>{error host-unknown}\nEND", err: "host-unknown"},
	{name: "later version", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.12'>\nS: {head}{auth}"},
	{name: "from is echoed", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='Juliet@example.net' to='example.net' version='1.0'>\n" +
		"S: <?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.net' to='juliet@example.net' id='ID' version='1.0' xml:lang='en'>{auth}"},
	{name: "from with a resource is absent", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='juliet@example.org/x' to='example.net' version='1.0'>\nS: {head}{auth}"},
	{name: "from of another domain", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='juliet@example.org' to='example.net' version='1.0'>\n" +
		"S: <?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.net' to='juliet@example.org' id='ID' version='1.0' xml:lang='en'>{error invalid-from}\nEND", err: "invalid-from"},
	{name: "no domain of several", with: two, text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\nS: {head}{error host-unknown}\nEND", err: "host-unknown"},
	{name: "unknown domain", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.com' version='1.0'>\nS: {head}{error host-unknown}\nEND", err: "host-unknown"},
	{name: "to is no domain", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a@example.net' version='1.0'>\nS: {head}{error host-unknown}\nEND", err: "host-unknown"},
	{name: "to is malformed", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='@' version='1.0'>\nS: {head}{error host-unknown}\nEND", err: "host-unknown"},
	{name: "no version", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net'>\nS: {head}{error unsupported-version}\nEND", err: "unsupported-version"},
	{name: "old version", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='0.9'>\nS: {head}{error unsupported-version}\nEND", err: "unsupported-version"},
	{name: "no number", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1'>\nS: {head}{error unsupported-version}\nEND", err: "unsupported-version"},
	{name: "server's content", text: "C: <stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.0'>\nS: {head}{error invalid-namespace}\nEND", err: "invalid-namespace"},
	{name: "root namespace", text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://example.org/streams' to='example.net' version='1.0'>\nS: {head}{error invalid-namespace}", err: "invalid-namespace"},
	{name: "root name", text: "C: <stream:flow xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.0'>\nS: {head}{error bad-format}", err: "bad-format"},
	{name: "no XML", text: "C: GET / HTTP/1.1\nS: {head}{error not-well-formed}", err: "not-well-formed"},
	{name: "DTD", text: "C: <!DOCTYPE x><x/>\nS: {head}{error restricted-xml}", err: "restricted-xml"},
	{name: "encoding", text: "C: <?xml version='1.0' encoding='ISO-8859-1'?>\nS: {head}{error unsupported-encoding}", err: "unsupported-encoding"},
	{name: "comment", text: "C: {open}\nS: {head}{auth}\nC: <!-- x -->\nS: {error restricted-xml}", err: "restricted-xml"},
	{name: "processing instruction", text: "C: {open}\nS: {head}{auth}\nC: <?php x?>\nS: {error restricted-xml}", err: "restricted-xml"},
	{name: "entity", text: "C: {open}\nS: {head}{auth}\nC: <a>&lol;</a>\nS: {error restricted-xml}", err: "restricted-xml"},
	{name: "bad UTF-8", text: "C: {open}\nS: {head}{auth}\nC: <a>\xff\nS: {error unsupported-encoding}", err: "unsupported-encoding"},
	{name: "mismatch", text: "C: {open}\nS: {head}{auth}\nC: <a></b>\nS: {error not-well-formed}", err: "not-well-formed"},
	{name: "text", text: "C: {open}\nS: {head}{auth}\nC: hello\nS: {error bad-format}", err: "bad-format"},
	{name: "too deep", text: "C: {open}\nS: {head}{auth}\nC: " + strings.Repeat("<a>", 17) + "\nS: {error policy-violation}", err: "policy-violation"},
	{name: "too many attributes", text: "C: {open}\nS: {head}{auth}\nC: <a" + attributes(65) + "/>\nS: {error policy-violation}", err: "policy-violation"},
	{name: "too big", text: "C: {open}\nS: {head}{auth}\nC: <auth{sasl}>" + strings.Repeat("A", 32<<10) + "\n" +
		"S: <stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><stanza-too-big xmlns='urn:xmpp:errors'/></stream:error>{end}", err: "policy-violation"},
	{name: "stream error of the peer", text: "C: {open}\nS: {head}{auth}\nC: <stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\nS: {end}\nEND", err: "from the peer"},
	{name: "peer closes", text: "C: {open}\nS: {head}{auth}\nC: {end}\nS: {end}", err: "EOF"},
	{name: "domain after authentication", text: "C: {open}\nS: {head}{auth}\nC: {romeo}\nS: {success}\n" +
		"C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>\n" +
		"S: <?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.org' id='ID' version='1.0' xml:lang='en'>{error not-authorized}\nEND", err: "not-authorized"},
}

// attributes is as many of them.
func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" a" + strconv.Itoa(i) + "=''")
	}
	return b.String()
}

// early are stanzas and others before their time: core-im ER-5, LC-5, LC-6, LC-9,
// LC-10; auth-register ST-7, ST-10, ST-14, ST-17.
var early = []transcript{
	{name: "message", text: "C: {open}\nS: {head}{auth}\nC: <message to='juliet@example.net'/>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "presence", text: "C: {open}\nS: {head}{auth}\nC: <presence/>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "bind", text: "C: {open}\nS: {head}{auth}\nC: <iq type='set' id='1'><bind{ns}/></iq>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "result", text: "C: {open}\nS: {head}{auth}\nC: <iq type='result' id='1'/>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "unknown element", text: "C: {open}\nS: {head}{auth}\nC: <a xmlns='urn:x'/>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "SASL element of a server", text: "C: {open}\nS: {head}{auth}\nC: <success{sasl}/>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "IQ without payload", text: "C: {open}\nS: {head}{auth}\nC: <iq type='get' id='1'/>\nS: <iq from='example.net' type='error' id='1'><error type='modify'><bad-request{stanzas}/></error></iq>"},
	{name: "IQ in clear", with: tlsNeeded, text: "C: {open}\nS: {head}{clear}\nC: <iq type='get' id='1'/>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "SASL in clear", with: tlsNeeded, text: "C: {open}\nS: {head}{clear}\nC: {romeo}\nS: <failure{sasl}><encryption-required/></failure>"},
	{name: "data behind starttls", with: tlsNeeded, text: "C: {open}\nS: {head}{clear}\nC: <starttls{tls}/><auth{sasl}/>\nS: <failure{tls}/>{end}\nEND", err: "behind starttls"},
	{name: "white space behind starttls", with: tlsNeeded, text: "C: {open}\nS: {head}{clear}\nC: <starttls{tls}/> {lf}\nS: <proceed{tls}/>\nTLS\nC: {open}\nS: {head}{auth}"},
	{name: "white space before a declaration", text: "C: {open}\nS: {head}{auth}\nC: {romeo} {lf}<?xml version='1.0'?>{open}\nS: <success{sasl}/>{head}{bind}"},
	{name: "no TLS there", text: "C: {open}\nS: {head}{auth}\nC: <starttls{tls}/>\nS: <failure{tls}/>{end}\nEND", err: "no TLS"},
	{name: "second starttls", with: tlsNeeded, text: "C: {open}\nS: {head}{clear}\nC: <starttls{tls}/>\nS: <proceed{tls}/>\nTLS\nC: {open}\nS: {head}{auth}\nC: <starttls{tls}/>\nS: <failure{tls}/>{end}\nEND", err: "no TLS"},
	{name: "what was said in clear is forgotten", with: func(s *setup) { tlsNeeded(s); two(s) }, text: "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='juliet@example.org' to='example.org' version='1.0'>\n" +
		"S: <?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.org' to='juliet@example.org' id='ID' version='1.0' xml:lang='en'>{clear}\n" +
		"C: <starttls{tls}/>\nS: <proceed{tls}/>\nTLS\nC: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\nS: {head}{error host-unknown}\nEND", err: "host-unknown"},
	{name: "no new stream after TLS", with: tlsNeeded, text: "C: {open}\nS: {head}{clear}\nC: <starttls{tls}/>\nS: <proceed{tls}/>\nTLS\nC: {romeo}\nS: {head}{error invalid-namespace}", err: "invalid-namespace"},
	{name: "no new stream after SASL", text: "C: {open}\nS: {head}{auth}\nC: {romeo}\nS: {success}\nC: <iq type='set' id='1' xmlns='jabber:client'><bind{ns}/></iq>\nS: {head}{error invalid-namespace}", err: "invalid-namespace"},
	{name: "message before bind", text: loggedIn + "C: <message to='juliet@example.net'/>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "IQ before bind", text: loggedIn + "C: <iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "bind at somebody else", text: loggedIn + "C: <iq type='set' id='1' to='juliet@example.net'><bind{ns}/></iq>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "second authentication", text: loggedIn + "C: {romeo}\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "unknown element before bind", text: loggedIn + "C: <a xmlns='urn:x'/>\nS: {error unsupported-stanza-type}\nEND", err: "unsupported-stanza-type"},
}

const loggedIn = "C: {open}\nS: {head}{auth}\nC: {romeo}\nS: {success}\nC: {open}\nS: {head}{bind}\n"

func tlsNeeded(s *setup) { s.conn.Trusted = false }

func play(t *testing.T, table []transcript) {
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := trusted()
				if tt.with != nil {
					tt.with(&s)
				}
				if !s.conn.Trusted {
					s.conn.TLS = certificate(t)
				}
				site := newSite(t, s)
				site.host.AddDomain("example.org")
				p := site.connect()
				p.run(tt.text)
				willing := !p.closed() && tt.err == ""
				p.stop()
				if willing {
					return
				}
				if p.err == nil || !strings.Contains(p.err.Error(), tt.err) || tt.err == "" {
					t.Errorf("error %v, want one with %q", p.err, tt.err)
				}
				if _, told := negotiate.StreamError(p.err); told != strings.Contains(p.output(), "<stream:error>") {
					t.Errorf("StreamError says %t for %v", told, p.err)
				}
			})
		})
	}
}

func TestServeHeaders(t *testing.T) {
	t.Parallel()
	play(t, headers)
}

func TestServeEarly(t *testing.T) {
	t.Parallel()
	play(t, early)
}
