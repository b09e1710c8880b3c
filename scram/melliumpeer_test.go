package scram_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/scram"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// peer is a server under the control of a test, inside TLS. Its methods are called on
// its own goroutine; they report failures and go on.
type peer struct {
	t    *testing.T
	conn *tls.Conn
	d    *xml.Decoder

	mechanisms, types []string
	unsigned          bool // no h and t
}

// certificate is for example.net, made once.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	// Bubbles of synctest begin in the year 2000.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

// meet connects a mellium session with these features to a peer that runs the
// script, and returns the error of the session. Nothing of either is left running,
// or the bubble fails.
func meet(t *testing.T, version uint16, features []xmpp.StreamFeature, script func(*peer)) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { err = meetContext(t.Context(), t, version, features, script) })
	return err
}

func meetContext(ctx context.Context, t *testing.T, version uint16, features []xmpp.StreamFeature, script func(*peer)) error {
	near, far := net.Pipe()
	roots := x509.NewCertPool()
	roots.AddCert(certificate().Leaf)
	var done sync.WaitGroup
	done.Go(func() {
		p := &peer{t: t, conn: tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate()}, MaxVersion: version})}
		defer p.conn.Close()
		if err := p.conn.Handshake(); err != nil {
			t.Error(err)
			return
		}
		script(p)
	})
	defer done.Wait()
	conn := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: host})
	defer conn.Close()
	if err := conn.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := xmpp.NewClientSession(ctx, jid.MustParse("user@"+host+"/home"), conn, features...)
	if err == nil && s.State()&xmpp.Authn == 0 {
		t.Error("a session that is not authenticated")
	}
	return err
}

// open answers the stream header and lists features.
func (p *peer) open(features string) {
	p.d = xml.NewDecoder(p.conn)
	for {
		token, err := p.d.Token()
		if err != nil {
			return // the session has given up
		}
		if start, ok := token.(xml.StartElement); ok {
			if start.Name.Local != "stream" {
				p.t.Errorf("got <%s/> for a stream", start.Name.Local)
			}
			break
		}
	}
	p.send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='" +
		host + "' to='user@" + host + "/home' id='1' version='1.0'><stream:features>" + features + "</stream:features>")
}

// list is open with what the peer has.
func (p *peer) list() {
	var b strings.Builder
	if len(p.types) > 0 {
		b.WriteString("<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>")
		for _, typ := range p.types {
			fmt.Fprintf(&b, "<channel-binding type='%s'/>", typ)
		}
		b.WriteString("</sasl-channel-binding>")
	}
	b.WriteString("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>")
	for _, m := range p.mechanisms {
		fmt.Fprintf(&b, "<mechanism>%s</mechanism>", m)
	}
	p.open(b.String() + "</mechanisms>")
}

func (p *peer) send(text string) {
	if _, err := p.conn.Write([]byte(text)); err != nil {
		p.t.Logf("the session has gone: %v", err)
	}
}

func (p *peer) sasl(name, data string) {
	p.send("<" + name + " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + base64.StdEncoding.EncodeToString([]byte(data)) + "</" + name + ">")
}

func (p *peer) fail(condition string) {
	p.send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><" + condition + "/><text xml:lang='en'>because</text></failure>")
}

// read returns the next element: its name, the attribute mechanism, the data.
func (p *peer) read() (name, mechanism, data string) {
	var e struct {
		XMLName   xml.Name
		Mechanism string `xml:"mechanism,attr"`
		Text      string `xml:",chardata"`
	}
	if err := p.d.Decode(&e); err != nil {
		return "", "", "" // the session has closed the connection
	}
	if e.Text != "=" {
		b, err := base64.StdEncoding.DecodeString(e.Text)
		if err != nil {
			p.t.Errorf("<%s/> with %q", e.XMLName.Local, e.Text)
		}
		data = string(b)
	}
	return e.XMLName.Local, e.Mechanism, data
}

// wants reads an element of that name.
func (p *peer) wants(want string) (mechanism, data string) {
	name, mechanism, data := p.read()
	if name != want {
		p.t.Errorf("got <%s/>, want <%s/>", name, want)
	}
	return mechanism, data
}

// challenge goes on to the proof, checks it, and returns the signature.
func (p *peer) challenge(mechanism, first string) (success string) {
	h := hashOf(mechanism)
	m, err := scram.ParseClientFirst([]byte(first))
	if err != nil {
		p.t.Errorf("%q: %v", first, err)
		return ""
	}
	challenge := attempt{
		listed: scram.Listing{Mechanisms: p.mechanisms, BindingTypes: p.types}, unsigned: p.unsigned,
	}.challenge(h, m.Nonce)
	cs := p.conn.ConnectionState()
	if !p.unsigned {
		challenge += ",t=" + scram.TLSVersionText(cs.Version)
	}
	p.sasl("challenge", challenge)
	_, final := p.wants("response")
	k := mustKey(p.t, map[scram.Hash]string{scram.SHA1: keySHA1, scram.SHA256: keySHA256, scram.SHA512: keySHA512}[h])
	header := first[:strings.Index(first, "n="+m.Username)]
	success, ok := judge(p.t, k, first[len(header):], challenge, final)
	var bound []byte
	if m.Flag == 'p' {
		if bound, err = scram.BindingData(m.Binding, &cs, certificate().Leaf); err != nil {
			p.t.Error(err)
		}
	}
	want := "c=" + base64.StdEncoding.EncodeToString(append([]byte(header), bound...)) + ",r="
	if !ok || !strings.HasPrefix(final, want) {
		p.t.Errorf("%s: proof right %v, %q, want %q", mechanism, ok, final, want)
	}
	return success
}

// welcome ends a login, and offers nothing more.
func (p *peer) welcome(success string) {
	p.sasl("success", success)
	p.open("")
}
