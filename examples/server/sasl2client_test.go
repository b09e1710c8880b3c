package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/examples/internal/scramclient"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// installation is a program with its memory of an account on the server.
type installation struct {
	t      *testing.T
	at     ports
	direct bool
	config *tls.Config
	state  sasl2.ClientState
	pins   scram.Pins
	saved  int
	sent   atomic.Int64 // writes on the last connection
}

// countingConn counts writes.
type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(b)
}

// login opens a session; without a password it must do without.
func (p *installation) login(account, password string, change func(*sasl2.ClientOptions)) (*xmpp.Session, sasl2.Login, error) {
	p.t.Helper()
	addr := p.at["c2s"]
	if p.direct {
		addr = p.at["c2s-tls"]
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	p.sent.Store(0)
	var conn net.Conn = countingConn{c, &p.sent}
	features := []xmpp.StreamFeature{xmpp.StartTLS(p.config)}
	if p.direct {
		conn = tls.Client(conn, p.config)
	}
	proof := &scram.ClientOptions{Username: jid.MustParse(account).Localpart(), Pins: p.pins}
	if password != "" {
		proof.Password = scram.FixedPassword(password)
	}
	o := scramclient.Options(proof)
	o.State, o.Software, o.Tag = p.state, "Hive", "hive"
	o.Save = func(_ context.Context, s sasl2.ClientState) error {
		p.state = s
		p.saved++
		return nil
	}
	o.Enable = []string{"<enable xmlns='urn:xmpp:carbons:2'/>", "<inactive xmlns='urn:xmpp:csi:0'/>", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"}
	if change != nil {
		change(o)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	s, l, err := sasl2.NewSession(ctx, jid.MustParse(account), conn, o, append(scram.Features(proof), features...)...)
	if kept, ok := scramclient.Login(l); ok {
		p.pins = kept.Pins
	}
	return s, l, err
}

// TestSASL2Client: a mellium session with the client of package sasl2 logs in here
// over TLS, by STARTTLS and directly: with SCRAM and Bind 2, then with the token it
// got, in one flight with the stream header, then back into the session it had; with
// a token of somebody else by the password, and not with a wrong one.
func TestSASL2Client(t *testing.T) {
	t.Parallel()
	const account, password = "juliet@localhost", "r0m30myr0m30"
	data := t.TempDir()
	addUser(t, data, account, password)
	at := serveLogin(t, data)
	pem, err := os.ReadFile(filepath.Join(data, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, direct := range []bool{false, true} {
			t.Run(fmt.Sprintf("TLS %x direct %v", version, direct), func(t *testing.T) {
				t.Parallel()
				p := &installation{t: t, at: at, direct: direct, config: &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: version}}
				p.story(account, password)
			})
		}
	}
}

func (p *installation) story(account, password string) {
	t := p.t
	s, first, err := p.login(account, password, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.Mechanism != "SCRAM-SHA-512-PLUS" || first.Token || first.SASL1 || first.Bound == nil {
		t.Errorf("first login: %+v", first)
	}
	if got := s.LocalAddr(); !strings.HasPrefix(got.Resourcepart(), "hive/") || !got.Bare().Equal(jid.MustParse(account)) {
		t.Errorf("address %s", got)
	}
	enabled := first.Bound.Child("urn:xmpp:sm:3", "enabled")
	if enabled == nil || enabled.Attr("id") == "" {
		t.Fatalf("bound: %+v", first.Bound)
	}
	want := "HT-SHA-256-EXPR"
	if p.config.MaxVersion == tls.VersionTLS12 {
		want = "HT-SHA-256-ENDP"
	}
	if len(p.state.Tokens) != 1 || p.state.Tokens[0].Mechanism != want {
		t.Fatalf("tokens: %v, want %s", p.state.Tokens, want)
	}
	pinged(t, s)

	// The connection is lost, and the session resumed, without a password.
	_ = s.Conn().Close()
	resume := fmt.Sprintf("<resume xmlns='urn:xmpp:sm:3' previd='%s' h='1'/>", enabled.Attr("id"))
	s, second, err := p.login(first.JID.String(), "", func(o *sasl2.ClientOptions) { o.Resume, o.Pipeline = resume, true })
	if err != nil {
		t.Fatal(err)
	}
	if !second.Token || second.Resumed == nil || second.Bound != nil || !s.LocalAddr().Equal(first.JID) {
		t.Errorf("second login: %+v", second)
	}
	if p.state.Offer == nil || p.state.Offer.Version == "" {
		t.Fatalf("no offer kept: %+v", p.state)
	}
	plain := p.sent.Load()

	// In one flight; what was resumed is gone.
	_ = s.Close()
	_ = s.Conn().Close()
	s, third, err := p.login(account, "", func(o *sasl2.ClientOptions) {
		o.Resume, o.Pipeline = strings.Replace(resume, "previd='", "previd='x", 1), true
	})
	if err != nil {
		t.Fatal(err)
	}
	if !third.Token || third.Refused == nil || third.Bound == nil || len(third.Features) == 0 {
		t.Errorf("third login: %+v", third)
	}
	if one := p.sent.Load(); one >= plain {
		t.Errorf("%d writes with pipelining, %d without", one, plain)
	}
	pinged(t, s)

	// Another version than the one in force, and a token that is not one: the
	// password still works.
	stale := *p.state.Offer
	stale.Version = "c3RhbGU="
	p.state.Offer = &stale
	if s, l, err := p.login(account, "", func(o *sasl2.ClientOptions) { o.Pipeline = true }); err != nil || !l.Token {
		t.Errorf("stale version: %+v, %v", l, err)
	} else {
		_ = s.Close()
	}
	if p.state.Offer == nil || p.state.Offer.Version == stale.Version {
		t.Error("the stale version was kept")
	}
	p.state.Tokens[0].Secret += "x"
	s, last, err := p.login(account, password, func(o *sasl2.ClientOptions) { o.Pipeline = true })
	if err != nil || last.Token || len(p.state.Tokens) != 1 || strings.HasSuffix(p.state.Tokens[0].Secret, "x") {
		t.Fatalf("wrong token: %+v, %v", last, err)
	}
	_ = s.Close()

	// In one flight with SCRAM.
	tokens := p.state.Tokens
	p.state.Tokens = nil
	if _, l, err := p.login(account, password, func(o *sasl2.ClientOptions) { o.Pipeline = true }); err != nil || l.Token {
		t.Errorf("SCRAM in one flight: %+v, %v", l, err)
	}
	p.state.Tokens = append(p.state.Tokens, tokens...)

	other := &installation{t: t, at: p.at, direct: p.direct, config: p.config, pins: p.pins}
	if _, _, err := other.login(account, "wrong", nil); !errors.Is(err, sasl2.ErrNotAuthorized) {
		t.Errorf("wrong password: %v", err)
	}
	if _, l, err := other.login(account, password, func(o *sasl2.ClientOptions) { o.NoBind = true }); err != nil || l.Bound != nil || l.JID.Resourcepart() == "" {
		t.Errorf("bound by the stream feature: %+v, %v", l, err)
	}
}

// pinged shows that stanzas come and go.
func pinged(t *testing.T, s *xmpp.Session) {
	t.Helper()
	if _, err := fmt.Fprint(s.Conn(), "<iq type='get' id='p1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"); err != nil {
		t.Fatal(err)
	}
	r := s.TokenReader()
	defer r.Close()
	for {
		token, err := r.Token()
		if err != nil {
			t.Fatalf("no answer to a ping: %v", err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "iq" {
			return
		}
	}
}
