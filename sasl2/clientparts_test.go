package sasl2_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

const testAgent = "d4565fa7-4d72-4749-b3d3-740edbf87770"

// noBinding is what a connection without TLS has.
func noBinding(string, *tls.ConnectionState, *x509.Certificate) ([]byte, error) {
	return nil, errors.New("no channel binding")
}

// oldProfile is a feature for the older profile, in two words.
func oldProfile() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:      xml.Name{Space: "urn:ietf:params:xml:ns:xmpp-sasl", Local: "mechanisms"},
		Necessary: xmpp.Secure, Prohibited: xmpp.Authn,
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
			return true, nil, d.Skip()
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			if _, err := io.WriteString(s.Conn(), "<auth/>"); err != nil {
				return 0, nil, err
			}
			r := s.TokenReader()
			defer r.Close()
			for {
				token, err := r.Token()
				if err != nil {
					return 0, nil, err
				}
				if start, ok := token.(xml.StartElement); ok {
					if err := xmlstream.Skip(r); err != nil {
						return 0, nil, err
					}
					if start.Name.Local == "success" {
						return xmpp.Authn, s.Conn(), nil
					}
					return 0, nil, errors.New("refused")
				}
			}
		},
	}
}

// startTLSFor is mellium's, which takes the domain of the session if it is not told
// any, with other certificates to trust.
func startTLSFor(roots *x509.CertPool) xmpp.StreamFeature {
	f := xmpp.StartTLS(nil)
	f.Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
		config := &tls.Config{ServerName: s.LocalAddr().Domain().String(), RootCAs: roots}
		return xmpp.StartTLS(config).Negotiate(ctx, s, data)
	}
	return f
}

// interrupt stops the reader, which must not take what is TLS's.
func (f *fakeServer) interrupt() {
	if err := f.c.SetReadDeadline(time.Now()); err != nil {
		f.t.Fatal(err)
	}
	synctest.Wait()
	if err := f.c.SetReadDeadline(time.Time{}); err != nil {
		f.t.Fatal(err)
	}
}

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// testBinding is the data of channel bindings, of TLS as far as a test needs it.
func testBinding(typ string, cs *tls.ConnectionState, leaf *x509.Certificate) ([]byte, error) {
	return scram.BindingData(typ, cs, leaf)
}

// connectTLS begins a login inside TLS of at most a version, 0 for any.
func (f *fakeServer) connectTLS(o *sasl2.ClientOptions, version uint16) {
	f.t.Helper()
	ours, theirs := net.Pipe()
	config := certificate(f.t)
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, version
	server, client := tls.Server(ours, config), tls.Client(theirs, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10})
	f.c = server
	account := jid.MustParse("romeo@example.net/garden")
	go func() {
		defer close(f.ended)
		f.s, _, f.err = sasl2.NewSession(f.t.Context(), account, client, o)
	}()
	if err := server.Handshake(); err != nil {
		f.t.Fatal(err)
	}
	go f.read()
}
