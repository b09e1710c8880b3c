package scram_test

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
	xdg "github.com/xdg-go/scram"
)

const (
	plusNames = "SCRAM-SHA-512-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS "
	bareNames = "SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 PLAIN"
)

// TestOffer: CB-1, CB-2, CB-3, CB-5; what can be had on this very connection.
func TestOffer(t *testing.T) {
	t.Parallel()
	ecdsa := issue(t, x509.ECDSAWithSHA256)
	new13, old12 := connect(t, ecdsa, tls.VersionTLS13).server, connect(t, ecdsa, tls.VersionTLS12).server
	unknown := new13
	unknown.Leaf = nil
	resumed := *old12.TLS
	resumed.TLSUnique = nil
	ed := issue(t, x509.PureEd25519)
	for _, c := range []struct {
		name       string
		o          scram.Options
		on         scram.Connection
		mechanisms string
		types      string
	}{
		{"no TLS", scram.Options{}, scram.Connection{}, bareNames, ""},
		{"TLS 1.3", scram.Options{}, new13, plusNames + bareNames, "tls-exporter tls-server-end-point"},
		{"TLS 1.2", scram.Options{}, old12, plusNames + bareNames, "tls-unique tls-server-end-point"},
		{"TLS 1.2 with the exporter", scram.Options{ExporterTLS12: true}, old12, plusNames + bareNames, "tls-exporter tls-unique tls-server-end-point"},
		{"certificate not known", scram.Options{}, unknown, plusNames + bareNames, "tls-exporter"},
		{"certificate alone", scram.Options{}, scram.Connection{TLS: &resumed, Leaf: old12.Leaf}, plusNames + bareNames, "tls-server-end-point"},
		{"nothing to bind to", scram.Options{}, scram.Connection{TLS: &resumed}, bareNames, ""},
		{"Ed25519 on TLS 1.3", scram.Options{}, connect(t, ed, tls.VersionTLS13).server, plusNames + bareNames, "tls-exporter"},
		{"Ed25519 on TLS 1.2", scram.Options{}, connect(t, ed, tls.VersionTLS12).server, plusNames + bareNames, "tls-unique"},
		{"one hash, no PLAIN", scram.Options{DisablePlain: true, Policy: scram.Policy{Hashes: []scram.Hash{scram.SHA1}}}, new13,
			"SCRAM-SHA-1-PLUS SCRAM-SHA-1", "tls-exporter tls-server-end-point"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := scram.New(new(scram.Memory), &c.o).On(c.on)
			if got := strings.Join(o.Mechanisms(), " "); got != c.mechanisms {
				t.Errorf("got mechanisms %s, want %s", got, c.mechanisms)
			}
			if got := strings.Join(o.ChannelBindings(), " "); got != c.types {
				t.Errorf("got types %s, want %s", got, c.types)
			}
			for _, m := range []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "PLAIN", "PLAIN-PLUS", "-PLUS", "scram-sha-1-plus", "HT-SHA-256-EXPR"} {
				e, err := o.Start(m, host)
				if slices.Contains(o.Mechanisms(), m) {
					if err != nil || e.Mechanism() != m {
						t.Errorf("%s: got %v", m, err)
					}
					continue
				}
				wantCondition(t, err, scram.InvalidMechanism)
			}
		})
	}
}

// TestOfferListed: what the caller has not listed is refused, and y is right if it
// has listed no mechanism with channel binding.
func TestOfferListed(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	c := connect(t, issue(t, x509.ECDSAWithSHA256), tls.VersionTLS13).server
	c.Listed = []string{"SCRAM-SHA-256", "EXTERNAL"}
	for _, m := range []string{"SCRAM-SHA-256-PLUS", "PLAIN", "EXTERNAL"} {
		_, err := b.On(c).Start(m, host)
		wantCondition(t, err, scram.InvalidMechanism)
	}
	client := &testClient{mechanism: "SCRAM-SHA-256", password: "pencil", header: "y,,"}
	wantCondition(t, client.run(t, b.startOn(t, c, "SCRAM-SHA-256")), "")
}

// TestOfferHash: CB-12 and CB-14, the attributes behind the iteration count.
func TestOfferHash(t *testing.T) {
	t.Parallel()
	cert := issue(t, x509.ECDSAWithSHA256)
	new13, old12 := connect(t, cert, tls.VersionTLS13).server, connect(t, cert, tls.VersionTLS12).server
	listed := new13
	listed.Listed = []string{"SCRAM-SHA-256", "EXTERNAL"}
	all := strings.Fields(plusNames + bareNames)
	for _, c := range []struct {
		name string
		o    scram.Options
		on   scram.Connection
		want string
	}{
		{"TLS 1.3", scram.Options{}, new13, ",h=" + scram.ListHash(scram.SHA256, all, []string{"tls-exporter", "tls-server-end-point"}) + ",t=0304"},
		{"TLS 1.2", scram.Options{}, old12, ",h=" + scram.ListHash(scram.SHA256, all, []string{"tls-unique", "tls-server-end-point"}) + ",t=0303"},
		{"another list", scram.Options{}, listed, ",h=" + scram.ListHash(scram.SHA256, listed.Listed, []string{"tls-exporter", "tls-server-end-point"}) + ",t=0304"},
		{"TLS elsewhere", scram.Options{}, scram.Connection{}, ",h=" + scram.ListHash(scram.SHA256, strings.Fields(bareNames), nil)},
		{"switched off", scram.Options{DisableListHash: true}, new13, ""},
	} {
		b := newBed(t, c.o)
		e := b.startOn(t, c.on, "SCRAM-SHA-256")
		out, _, err := e.Step(t.Context(), []byte("n,,n=user,r="+clientNonce))
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(string(out), ",i=4096"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	// Without a connection nobody knows what was listed.
	if got := challengeFor(t, newBed(t, scram.Options{}).Authenticator, "SCRAM-SHA-256", "user"); strings.Contains(got, "h=") {
		t.Errorf("got %q", got)
	}
}

// TestOtherClientPlus runs an independent client over TLS connections.
func TestOtherClientPlus(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	generators := map[string]xdg.HashGeneratorFcn{
		"SCRAM-SHA-1": xdg.SHA1, "SCRAM-SHA-256": xdg.SHA256, "SCRAM-SHA-512": xdg.SHA512,
	}
	bindings := map[string]func(cs *tls.ConnectionState) (xdg.ChannelBinding, error){
		scram.TLSExporter:       xdg.NewTLSExporterBinding,
		scram.TLSServerEndPoint: xdg.NewTLSServerEndpointBinding,
		scram.TLSUnique: func(cs *tls.ConnectionState) (xdg.ChannelBinding, error) {
			return xdg.NewTLSUniqueBinding(cs.TLSUnique), nil
		},
	}
	for _, algorithm := range []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.SHA512WithRSA} {
		cert := issue(t, algorithm)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c, stranger := connect(t, cert, version), connect(t, issue(t, x509.ECDSAWithSHA256), version)
			for mechanism, generator := range generators {
				client, err := generator.NewClient("user", "pencil", "")
				if err != nil {
					t.Fatal(err)
				}
				for _, typ := range b.On(c.server).ChannelBindings() {
					cb, err := bindings[typ](c.client.TLS)
					if err != nil {
						t.Fatal(err)
					}
					e := b.startOn(t, c.server, mechanism+"-PLUS")
					if err := converse(t, e, client.NewConversationWithChannelBinding(cb)); err != nil || e.ChannelBinding() != typ {
						t.Errorf("%s-PLUS with %s on %x: %v, bound to %q", mechanism, typ, version, err, e.ChannelBinding())
					}
					// The same client, with somebody in between.
					e = b.startOn(t, stranger.server, mechanism+"-PLUS")
					wantCondition(t, converse(t, e, client.NewConversationWithChannelBinding(cb)), scram.NotAuthorized)
					if e.ChannelBinding() != "" || e.Account() != "" {
						t.Errorf("%s: bound to %q as %q without success", typ, e.ChannelBinding(), e.Account())
					}
				}
				e := b.startOn(t, c.server, mechanism)
				if err := converse(t, e, client.NewConversation()); err != nil || e.ChannelBinding() != "" {
					t.Errorf("%s on %x: %v, bound to %q", mechanism, version, err, e.ChannelBinding())
				}
				e = b.startOn(t, c.server, mechanism)
				wantCondition(t, converse(t, e, client.NewConversationAdvertisingChannelBinding()), scram.MalformedRequest)
			}
		}
	}
}
