package negotiate_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// TestXMPP: an *xmpp.Session on both ends, TLS and SCRAM between them, and the
// mux fed by the session.
func TestXMPP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup{conn: negotiate.ConnOptions{TLS: certificate(t)}}
		s.opt.SASL = withRomeo(t)
		site := newSite(t, s)
		client, server := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- serveSession(t, site, server) }()
		romeo := jid.MustParse("romeo@example.net/orchard")
		session, err := xmpp.NewSession(t.Context(), romeo.Domain(), romeo.Bare(), client, 0,
			xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
				return xmpp.StreamConfig{Features: []xmpp.StreamFeature{
					xmpp.StartTLS(&tls.Config{InsecureSkipVerify: true}),
					xmpp.SASL("", "secret", sasl.ScramSha256),
					xmpp.BindCustom(func(jid.JID, string) (jid.JID, error) { return romeo, nil }),
				}}
			}))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if err := session.Serve(nil); err != nil {
				t.Errorf("client: %v", err)
			}
		}()
		r, err := session.SendIQ(t.Context(), stanza.IQ{Type: stanza.SetIQ}.Wrap(
			xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:ietf:params:xml:ns:xmpp-session", Local: "session"}})))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := r.Token()
		if start, ok := tok.(xml.StartElement); !ok || start.Name.Local != "iq" {
			t.Errorf("answer %v, %v", tok, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := session.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, io.EOF) {
			t.Errorf("server: %v", err)
		}
	})
}

// serveSession is a server's life with an *xmpp.Session.
func serveSession(t *testing.T, site *site, c net.Conn) error {
	var st *mux.Stream
	session, err := xmpp.ReceiveSession(context.Background(), c, 0, site.n.XMPP(&site.conn, func(s *mux.Stream, _ *negotiate.ConnTransport) { st = s }))
	if err != nil {
		return err
	}
	defer session.Conn().Close()
	if got, want := session.RemoteAddr().String(), st.Session().JID().String(); got != want || session.LocalAddr().String() != "example.net" {
		t.Errorf("session of %s at %s, want %s", got, session.LocalAddr(), want)
	}
	if session.State()&(xmpp.Secure|xmpp.Authn|xmpp.Ready|xmpp.Received) != xmpp.Secure|xmpp.Authn|xmpp.Ready|xmpp.Received {
		t.Errorf("state %b", session.State())
	}
	r := session.TokenReader()
	defer r.Close()
	for {
		tok, err := r.Token()
		if err != nil {
			st.Gone(errors.Is(err, io.EOF))
			return err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		s, err := mux.FromTokens(start, xmlstream.MultiReader(xmlstream.Inner(r), xmlstream.Token(start.End())))
		if err != nil {
			return err
		}
		if err := st.Receive(context.Background(), s); err != nil {
			return err
		}
		st.Flush()
	}
}

// TestXMPPFails: the negotiator's error is ReceiveSession's.
func TestXMPPFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, trusted())
		client, server := net.Pipe()
		go func() {
			defer client.Close()
			_, _ = io.WriteString(client, expand("{open}{end}"))
			_, _ = io.ReadAll(client)
		}()
		if _, err := xmpp.ReceiveSession(t.Context(), server, 0, site.n.XMPP(&site.conn, nil)); !errors.Is(err, io.EOF) {
			t.Errorf("error %v", err)
		}
	})
}

// TestXMPPPipelined: what came behind the bind is not lost.
func TestXMPPPipelined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, trusted())
		client, server := net.Pipe()
		defer client.Close()
		go func() { _, _ = io.ReadAll(client) }()
		go func() {
			_, _ = io.WriteString(client, expand("{open}{romeo}{open}<iq type='set' id='1'><bind{ns}/></iq><message id='m'/>{end}"))
		}()
		session, err := xmpp.ReceiveSession(t.Context(), server, 0, site.n.XMPP(&site.conn, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer session.Conn().Close()
		r := session.TokenReader()
		defer r.Close()
		tok, err := r.Token()
		if start, ok := tok.(xml.StartElement); !ok || start.Name != (xml.Name{Space: mux.NSClient, Local: "message"}) {
			t.Errorf("got %v, %v", tok, err)
		}
	})
}
