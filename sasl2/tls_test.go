package sasl2_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// certificate makes one for example.net, valid by the bubble's clock.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.net"},
		DNSNames: []string{"example.net"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// secure begins a stream with STARTTLS and returns the peer inside TLS, and what
// is offered there.
func (s *site) secure() (p *peer, features string, cs tls.ConnectionState) {
	s.t.Helper()
	p = s.connect()
	p.send("{romeo}")
	if got := p.raw(); !strings.Contains(got, "<starttls ") || strings.Contains(got, "authentication") {
		s.t.Fatalf("in clear: %s", got)
	}
	p.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	p.raw()
	// The collector must not take what is TLS's: it is interrupted.
	if err := p.c.SetReadDeadline(time.Now()); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	if err := p.c.SetReadDeadline(time.Time{}); err != nil {
		s.t.Fatal(err)
	}
	p.mu.Lock()
	p.eof = false
	p.mu.Unlock()
	c := tls.Client(p.c, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	p.c = c
	go p.read()
	p.send("{romeo}")
	return p, p.raw(), c.ConnectionState()
}

// TestTLS: over real TLS 1.3, a token that is bound to the connection works on
// another one, what was sent to use it does not (auth-register S2-1, FT-3,
// scenario 23).
func TestTLS(t *testing.T) {
	t.Parallel()
	t.Run("data", func(t *testing.T) { testTLS(t, func(m mechanisms) sasl2.SASL { return m }) })
	t.Run("told", func(t *testing.T) { testTLS(t, func(m mechanisms) sasl2.SASL { return telling{m} }) })
}

// telling says which bindings there are.
type telling struct{ mechanisms }

func (telling) HasBinding(st *mux.Stream, typ string) bool {
	return scram.Available(typ, st.TLS(), st.Certificate())
}

func testTLS(t *testing.T, auth func(mechanisms) sasl2.SASL) {
	synctest.Test(t, func(t *testing.T) {
		accounts := new(scram.Memory)
		if err := scram.NewService(accounts, &scram.ServiceOptions{Policy: scram.Policy{Iterations: 4096}}).Create(t.Context(), "romeo@example.net", "correct horse"); err != nil {
			t.Fatal(err)
		}
		x := sasl2.New(auth(mechanisms{scram.New(accounts, nil)}), new(sasl2.Memory), nil)
		s := &site{t: t, x: x, conn: negotiate.ConnOptions{TLS: certificate(t)}}
		s.host = muxtest.New(t, &mux.Options{NoRecover: true}, negotiate.Extension(), x)
		s.host.AddAccount("romeo@example.net")
		s.n = negotiate.New(s.host.Mux(), nil)

		p, features, _ := s.secure()
		defer p.stop()
		const want = "<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-ENDP</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast>"
		if !strings.Contains(features, want) {
			t.Errorf("offered %s", features)
		}
		p.send("<authenticate{2} mechanism='PLAIN'><initial-response>{64 \x00romeo\x00correct horse}</initial-response>" + wants + "{end}")
		if p.take(); p.token == "" {
			t.Fatalf("no token: %s", p.output())
		}
		exported := func(cs tls.ConnectionState) string {
			data, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32) // RFC 9266 §2
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
		q, _, cs := s.secure()
		defer q.stop()
		use := attempt{token: p.token, data: exported(cs)}
		other, _, _ := s.secure()
		defer other.stop()
		other.send(use.text())
		other.expect("{fail not-authorized}")
		q.send(use.text())
		if got := q.take(); !strings.HasPrefix(got, expand("{ok}<additional-data>"+sasl2HT(use)+"</additional-data>{is}")) {
			t.Errorf("got %s", got)
		}
	})
}
