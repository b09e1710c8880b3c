package sasl2

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// deafConn is a connection to a server that does not listen.
type deafConn struct{ io.Reader }

func (deafConn) Write(b []byte) (int, error)      { return len(b), nil }
func (deafConn) Close() error                     { return nil }
func (deafConn) LocalAddr() net.Addr              { return nil }
func (deafConn) RemoteAddr() net.Addr             { return nil }
func (deafConn) SetDeadline(time.Time) error      { return nil }
func (deafConn) SetReadDeadline(time.Time) error  { return nil }
func (deafConn) SetWriteDeadline(time.Time) error { return nil }

type fuzzRun struct{ done *bool }

func (fuzzRun) Mechanism() string              { return "SCRAM-TEST-PLUS" }
func (fuzzRun) First() ([]byte, error)         { return []byte("romeo"), nil }
func (fuzzRun) Relist(Offer)                   {}
func (r fuzzRun) Verify(data []byte) (e error) { return verified(r.done, data) }
func (fuzzRun) Next(context.Context, []byte) ([]byte, error) {
	return []byte("secret"), nil
}

func verified(done *bool, data []byte) error {
	if string(data) != "v=right" {
		return errors.New("wrong")
	}
	*done = true
	return nil
}

// FuzzClient: whatever a server says, the client comes to an end, and is logged in
// only if the server has proved that it knows the account and has let in nobody
// else. What is saved is bounded.
func FuzzClient(f *testing.F) {
	const head = "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-TEST-PLUS</mechanism><inline><sm xmlns='urn:xmpp:sm:3'/><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/></inline></bind>" +
		"<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE</mechanism></fast></inline><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authentication><config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='v1'/></stream:features>"
	const challenge = "<challenge xmlns='urn:xmpp:sasl:2'>d2hvPw==</challenge>"
	const success = "<success xmlns='urn:xmpp:sasl:2'><additional-data>dj1yaWdodA==</additional-data><authorization-identifier>romeo@example.net/1</authorization-identifier><bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='1'/></bound><token xmlns='urn:xmpp:fast:0' token='t' expiry='2100-01-01T00:00:00Z'/></success><stream:features/>"
	const task = "<continue xmlns='urn:xmpp:sasl:2'><additional-data>dj1yaWdodA==</additional-data><tasks><task>UPGR-SCRAM-SHA-256</task></tasks></continue><task-data xmlns='urn:xmpp:sasl:2'><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='10000'>MDEyMzQ1Njc4OWFiY2RlZg==</salt></task-data>"
	const failure = "<failure xmlns='urn:xmpp:sasl:2'><aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><config-version-mismatch xmlns='urn:xmpp:iap:0'/><text>x</text></failure>"
	for _, s := range []string{
		head + challenge + success,
		head + challenge + task + strings.Replace(success, "<additional-data>dj1yaWdodA==</additional-data>", "", 1),
		head + failure + challenge + success,
		head + challenge + strings.Replace(success, "<bound", "<resumed xmlns='urn:xmpp:sm:3' h='1' previd='x'/><bound", 1),
		head + challenge + strings.Replace(success, "romeo", "mallory", 1),
		head + success[:100], head + strings.ReplaceAll(failure, "aborted", "not-authorized"),
		head + "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
		head + challenge + strings.Replace(success, "<stream:features/>", "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", 1),
		"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>", "<stream:features/>", "<iq/>",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, in string, pipeline bool) {
		var done bool
		o := &ClientOptions{
			Mechanism: func(context.Context, Attempt) (Run, error) { done = false; return fuzzRun{&done}, nil },
			Upgrade:   func(context.Context, string, []byte, int) ([]byte, error) { return []byte("salted"), nil },
			Resume:    "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>", Enable: []string{"<enable xmlns='urn:xmpp:sm:3'/>"},
			Pipeline: pipeline,
			Save: func(_ context.Context, s ClientState) error {
				if len(s.Tokens) > keptTokens || len(s.Tokens) > 0 && len(s.Tokens[0].Secret) > maxToken {
					t.Error("kept too much")
				}
				return nil
			},
		}
		if pipeline {
			o.State.Offer = &Offer{Mechanisms: []string{"SCRAM-TEST-PLUS"}, Version: "v1"}
		}
		const hello = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='example.net' version='1.0'>"
		account := jid.MustParse("romeo@example.net/garden")
		s, err := xmpp.NewSession(t.Context(), account.Domain(), account, deafConn{strings.NewReader(hello + in)}, xmpp.Secure, Negotiator(o))
		if err == nil && (!done || !s.LocalAddr().Bare().Equal(account.Bare())) {
			t.Errorf("logged in as %s by %q", s.LocalAddr(), in)
		}
	})
}

// FuzzClientElement: what is read of an element is bounded, and the same as
// encoding/xml reads.
func FuzzClientElement(f *testing.F) {
	for _, s := range []string{"<a xmlns='b' c='d'>e<f/>g</a>", "<a>", " <a/>", "<a xmlns:x='y' x:b='c'/>", "</a>", "<!-- --><a/>", strings.Repeat("<a>", 40),
		"<stream:error xmlns:stream='http://etherx.jabber.org/streams'><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>x</text><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := nextElement(xml.NewDecoder(strings.NewReader(in)))
		if err != nil {
			return
		}
		var other struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
			Inner   []struct {
				XMLName xml.Name
			} `xml:",any"`
		}
		if err := xml.NewDecoder(bytes.NewReader([]byte(in))).Decode(&other); err != nil {
			t.Fatalf("%q: encoding/xml says %v", in, err)
		}
		if other.XMLName != e.Name || other.Text != e.Text || len(other.Inner) != len(e.Children) {
			t.Errorf("%q: got %+v, want %+v", in, e, other)
		}
		if _, err := parseElement(in); err == nil && e.Name.Space == "" {
			t.Errorf("%q: no namespace", in)
		}
		_ = parseOffer(&e)
	})
}
