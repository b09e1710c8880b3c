package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/xml"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/version"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/server"
)

const password = "a password"

// TestState: the bot keeps a token in its file, and needs no password any more, until
// the file is lost.
func TestState(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	addr, roots := startServer(t, "bot@localhost")
	config := &tls.Config{ServerName: "localhost", RootCAs: roots}
	file := filepath.Join(t.TempDir(), "bot.json")
	login := func(password string) error {
		t.Helper()
		k, err := openKeeper(file)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		online := false
		err = run(ctx, dial(t, addr), jid.MustParse("bot@localhost"), password, config, k, func(mux.Address) { online = true; stop() })
		if online != (err == nil) {
			t.Errorf("online %v, ended with %v", online, err)
		}
		return err
	}
	if err := login(password); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("state: %v, %v", info, err)
	}
	for range 2 {
		if err := login("forgotten"); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), `"NoPlain": true`) || !strings.Contains(string(b), `"Version"`) {
		t.Errorf("state %s, %v", b, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := login("forgotten"); !errors.Is(err, sasl2.ErrNotAuthorized) {
		t.Errorf("without state: %v", err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openKeeper(file); err == nil {
		t.Error("half a file was taken for a state")
	}
}

// TestEcho: a client of mellium alone talks with the bot through a real server.
func TestEcho(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	addr, roots := startServer(t, "bot@localhost", "juliet@localhost")
	config := &tls.Config{ServerName: "localhost", RootCAs: roots}

	botCtx, stop := context.WithCancel(ctx)
	online, ended := make(chan mux.Address, 1), make(chan error, 1)
	go func() {
		ended <- run(botCtx, dial(t, addr), jid.MustParse("bot@localhost/echo"), password, config, &keeper{}, func(a mux.Address) { online <- a })
	}()
	var bot jid.JID
	select {
	case a := <-online:
		bot = a.JID()
	case err := <-ended:
		t.Fatalf("the bot ended: %v", err)
	}

	juliet, err := xmpp.NewClientSession(ctx, jid.MustParse("juliet@localhost"), dial(t, addr),
		xmpp.StartTLS(config), xmpp.SASL("", password, sasl.ScramSha256), xmpp.BindResource())
	if err != nil {
		t.Fatal(err)
	}
	bodies := make(chan string, 1)
	go func() {
		_ = juliet.Serve(xmppmux.New(stanza.NSClient, xmppmux.MessageFunc(stanza.ChatMessage, xml.Name{Local: "body"},
			func(_ stanza.Message, r xmlstream.TokenReadEncoder) error {
				var m struct {
					Body string `xml:"body"`
				}
				err := xml.NewTokenDecoder(r).Decode(&m)
				bodies <- m.Body
				return err
			}))) // ends with the test
	}()
	if err := ping.Send(ctx, juliet, bot); err != nil {
		t.Errorf("ping: %v", err)
	}
	if v, err := version.Get(ctx, juliet, bot); err != nil || v.Name != "echobot" {
		t.Errorf("version: %+v, %v", v, err)
	}
	const text = "wherefore <art> thou & who?"
	err = juliet.Send(ctx, stanza.Message{Type: stanza.ChatMessage, To: bot}.Wrap(
		xmlstream.Wrap(xmlstream.Token(xml.CharData(text)), xml.StartElement{Name: xml.Name{Local: "body"}})))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-bodies:
		if got != text {
			t.Errorf("echo %q, want %q", got, text)
		}
	case <-ctx.Done():
		t.Error("no echo")
	}
	// A request the bot does not know is refused by it, not left open.
	if err := juliet.UnmarshalIQElement(ctx, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:example:unknown", Local: "q"}}),
		stanza.IQ{Type: stanza.GetIQ, To: bot}, &struct{}{}); err == nil {
		t.Error("an unknown request was answered")
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the bot ended with %v", err)
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// startServer is the least a server needs.
func startServer(t *testing.T, accounts ...string) (addr string, roots *x509.CertPool) {
	t.Helper()
	cert, roots := certificate(t)
	var store scram.Memory
	policy := scram.Policy{Iterations: scram.MinIterations, Floor: scram.MinIterations}
	exist := known{}
	for _, a := range accounts {
		c, err := scram.NewCredentials(password, policy)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Create(t.Context(), a, c); err != nil {
			t.Fatal(err)
		}
		exist[mux.MustParseAddress(a)] = true
	}
	s, err := server.New(&server.Options{
		Domains: []string{"localhost"}, Accounts: exist, SASL: mechanisms{scram.New(&store, &scram.Options{Policy: policy})},
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil },
	}, sasl2.New(fast{mechanisms{scram.New(&store, &scram.Options{Policy: policy})}, &store}, new(sasl2.Memory), nil))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-served
	})
	return l.Addr().String(), roots
}

type known map[mux.Address]bool

func (k known) Exists(_ context.Context, a mux.Address) (bool, error) { return k[a], nil }

type mechanisms struct{ a *scram.Authenticator }

func (m mechanisms) Mechanisms(*mux.Stream) []string { return m.a.Mechanisms() }

func (m mechanisms) Start(_ *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	return m.a.Start(mechanism, domain)
}

// fast is what package sasl2 needs beside mechanisms.
type fast struct {
	mechanisms
	store scram.Store
}

func (f fast) Start(st *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return f.mechanisms.Start(st, mechanism, domain)
}

func (f fast) Binding(st *mux.Stream, typ string) ([]byte, error) {
	return scram.BindingData(typ, st.TLS(), st.Certificate())
}

func (f fast) Status(ctx context.Context, account string) (generation int64, disabled, exists bool, err error) {
	c, err := f.store.Credentials(ctx, account)
	if errors.Is(err, scram.ErrNoAccount) {
		return 0, false, false, nil
	}
	return c.Generation, c.Disabled, err == nil, err
}

func certificate(t *testing.T) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
