package negotiate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/xdg-go/scram"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	ours "github.com/propolis-im/propolis/scram"
)

// binder is how an assembler gives a [ours.Authenticator] to a negotiator if
// mechanisms may bind the channel.
type binder struct{ *ours.Authenticator }

var _ negotiate.ChannelBinder = binder{}

func (b binder) offer(st *mux.Stream) *ours.Offer {
	return b.On(ours.Connection{TLS: st.TLS(), Leaf: st.Certificate()})
}

func (b binder) Mechanisms(st *mux.Stream) []string      { return b.offer(st).Mechanisms() }
func (b binder) ChannelBindings(st *mux.Stream) []string { return b.offer(st).ChannelBindings() }

func (b binder) Start(st *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	return b.offer(st).Start(mechanism, domain)
}

// counted counts how often the store is asked.
type counted struct {
	*ours.Memory
	lookups int
}

func (c *counted) Credentials(ctx context.Context, account string) (ours.Credentials, error) {
	c.lookups++
	return c.Memory.Credentials(ctx, account)
}

// withBinding has the account of withRomeo, and all that SCRAM can do with one hash.
func withBinding(t *testing.T) (binder, *counted) {
	t.Helper()
	policy := ours.Policy{Iterations: ours.MinIterations, Floor: ours.MinIterations, Hashes: []ours.Hash{ours.SHA256}}
	c, err := ours.NewCredentials("secret", policy)
	if err != nil {
		t.Fatal(err)
	}
	store := &counted{Memory: new(ours.Memory)}
	if _, err := store.Create(t.Context(), "romeo@example.net", c); err != nil {
		t.Fatal(err)
	}
	return binder{ours.New(store, &ours.Options{Policy: policy, DisablePlain: true})}, store
}

const (
	bindingTypes = "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/><channel-binding type='tls-server-end-point'/></sasl-channel-binding>"
	plusFeatures = "<stream:features>" + bindingTypes + "<mechanisms{sasl}><mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism></mechanisms>{limits}</stream:features>"
	intoTLS      = "C: {open}\nS: {head}{clear}\nC: <starttls{tls}/>\nS: <proceed{tls}/>\nTLS\nC: {open}\nS: {head}"
)

// TestServeBinding: CB-1, what can be bound to is told before the mechanisms, and a
// client of other hands does it.
func TestServeBinding(t *testing.T) {
	t.Parallel()
	for name, binding := range map[string]func(*tls.ConnectionState) (scram.ChannelBinding, error){
		"tls-exporter": scram.NewTLSExporterBinding, "tls-server-end-point": scram.NewTLSServerEndpointBinding,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := setup{conn: negotiate.ConnOptions{TLS: certificate(t)}}
				s.opt.SASL, _ = withBinding(t)
				p := newSite(t, s).connect()
				defer p.stop()
				p.run(intoTLS + plusFeatures)
				cs := p.c.(*tls.Conn).ConnectionState()
				cb, err := binding(&cs)
				if err != nil {
					t.Fatal(err)
				}
				client, err := scram.SHA256.NewClient("romeo", "secret", "")
				if err != nil {
					t.Fatal(err)
				}
				if got := login(t, p, "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(cb)); !strings.HasPrefix(got, expand("<success{sasl}>dj")) {
					t.Fatalf("got %s", got)
				}
				// Nothing of it afterwards.
				p.run("C: {open}\nS: {head}{bind}")
			})
		})
	}
}

// bindingOnly has bindings and no mechanisms.
type bindingOnly struct{ noSASL }

func (bindingOnly) ChannelBindings(*mux.Stream) []string { return []string{"tls-exporter"} }

// none has mechanisms, and no bindings for any of them.
type none struct{ saslTest }

func (none) ChannelBindings(*mux.Stream) []string { return nil }

// TestServeNoBinding: CB-1, in clear and where nothing can be bound the feature is
// not there.
func TestServeNoBinding(t *testing.T) {
	t.Parallel()
	withScram := func(s *setup) { s.opt.SASL, _ = withBinding(t) }
	play(t, []transcript{
		{name: "for features only", with: func(s *setup) { s.conn.Trusted, s.opt.SASL = true, bindingOnly{} },
			text: "C: {open}\nS: {head}<stream:features><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>{limits}</stream:features>"},
		{name: "none", with: func(s *setup) { s.conn.Trusted, s.opt.SASL = true, none{} }, text: opened},
		{name: "no TLS of our own", with: func(s *setup) { s.conn.Trusted = true; withScram(s) },
			text: "C: {open}\nS: {head}<stream:features><mechanisms{sasl}><mechanism>SCRAM-SHA-256</mechanism></mechanisms>{limits}</stream:features>"},
	})
}

// TestConnTransportResumption: CB-4. The certificate is known too where an old TLS
// session is taken up again, which happens under the same certificate only.
func TestConnTransportResumption(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(fmt.Sprintf("%x", version), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				one, two := certificate(t).Certificates[0], certificate(t).Certificates[0]
				current := &one
				config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current, nil }}
				s := setup{conn: negotiate.ConnOptions{TLS: config}}
				site := newSite(t, s)
				cache := tls.NewLRUClientSessionCache(1)
				for i, step := range []struct {
					cert    *tls.Certificate
					resumed bool
				}{{&one, false}, {&one, true}, {&two, false}, {&two, true}, {&one, false}} {
					current = step.cert
					p := site.connect()
					p.client = &tls.Config{InsecureSkipVerify: true, ServerName: "example.net", ClientSessionCache: cache, MaxVersion: version}
					p.run(intoTLS + "{auth}")
					cs := p.c.(*tls.Conn).ConnectionState()
					leaf := p.st.Certificate()
					if cs.DidResume != step.resumed || p.st.TLS().DidResume != step.resumed {
						t.Errorf("connection %d: resumed %v, want %v", i, cs.DidResume, step.resumed)
					}
					if want, err := x509.ParseCertificate(step.cert.Certificate[0]); err != nil || leaf == nil || !leaf.Equal(want) || !cs.PeerCertificates[0].Equal(want) {
						t.Errorf("connection %d: another certificate, %v", i, err)
					}
					p.stop()
				}
			})
		})
	}
}
