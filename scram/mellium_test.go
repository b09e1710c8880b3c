package scram_test

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"github.com/propolis-im/propolis/scram"
	"mellium.im/sasl"
	"mellium.im/xmpp"
)

// TestMechanismsOfMellium puts the mechanisms into the feature of mellium.
func TestMechanismsOfMellium(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		version    uint16
		mechanisms []string
		types      []string
		policy     scram.ClientPolicy
		want       string
		err        error
	}{
		{"TLS 1.3", tls.VersionTLS13, sixMechanisms, twoTypes, scram.ClientPolicy{}, "SCRAM-SHA-512-PLUS", nil},
		{"TLS 1.2", tls.VersionTLS12, sixMechanisms, allTypes, scram.ClientPolicy{}, "SCRAM-SHA-512-PLUS", nil},
		{"types not listed", tls.VersionTLS13, sixMechanisms, nil, scram.ClientPolicy{}, "SCRAM-SHA-512-PLUS", nil},
		{"no binding", tls.VersionTLS13, threePlain, nil, scram.ClientPolicy{}, "SCRAM-SHA-512", nil},
		{"off", tls.VersionTLS13, sixMechanisms, twoTypes, off, "SCRAM-SHA-512", nil},
		{"foreign types", tls.VersionTLS13, sixMechanisms, strange, scram.ClientPolicy{}, "SCRAM-SHA-512-PLUS", scram.ErrListTampered},
		{"PLAIN", tls.VersionTLS13, []string{"PLAIN"}, nil, scram.ClientPolicy{AllowPlain: true}, "PLAIN", nil},
		{"EXTERNAL", tls.VersionTLS13, []string{"PLAIN", "EXTERNAL"}, nil, scram.ClientPolicy{External: true}, "EXTERNAL", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var k keeper
			o := k.options()
			o.Password, o.Policy = nil, tt.policy
			feature := xmpp.SASL("", "pencil", scram.Mechanisms(o)...)
			err := meet(t, tt.version, []xmpp.StreamFeature{feature}, func(p *peer) {
				p.mechanisms, p.types = tt.mechanisms, tt.types
				p.list()
				mechanism, first := p.wants("auth")
				switch {
				case mechanism != tt.want:
					t.Errorf("got %s", mechanism)
				case tt.err != nil:
					m, err := scram.ParseClientFirst([]byte(first))
					if err != nil {
						t.Error(err)
					}
					p.sasl("challenge", attempt{listed: scram.Listing{Mechanisms: p.mechanisms, BindingTypes: p.types}}.challenge(scram.SHA512, m.Nonce))
				case hashOf(mechanism) == 0:
					p.welcome("")
				default:
					p.welcome(p.challenge(mechanism, first))
				}
			})
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if tt.err == nil && hashOf(tt.want) != 0 && (k.Mechanism != tt.want || !k.ListVerified) {
				t.Errorf("kept %+v", k.Login)
			}
		})
	}
}

// TestMechanismsHostile: behind the interface of mellium too, nothing but a signature
// is a success.
func TestMechanismsHostile(t *testing.T) {
	t.Parallel()
	for name, success := range map[string]func(p *peer, right string) string{
		"nothing": func(*peer, string) string { return "" }, "wrong": func(*peer, string) string { return vectors[1].success },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := meet(t, 0, []xmpp.StreamFeature{xmpp.SASL("", "pencil", scram.Mechanisms(nil)...)}, func(p *peer) {
				p.mechanisms = threePlain
				p.list()
				p.sasl("success", success(p, p.challenge(p.wants("auth"))))
			})
			if !errors.Is(err, scram.ErrServerNotAuthenticated) {
				t.Errorf("got %v", err)
			}
		})
	}
	err := meet(t, 0, []xmpp.StreamFeature{xmpp.SASL("", "pencil", scram.Mechanisms(nil)...)}, func(p *peer) {
		p.mechanisms = threePlain
		p.list()
		p.wants("auth")
		p.sasl("success", "")
	})
	if !errors.Is(err, scram.ErrServerMessage) {
		t.Errorf("at once: got %v", err)
	}
}

// TestMechanismsRefuse: a mechanism that was picked although another must be used, or
// none, sends nothing.
func TestMechanismsRefuse(t *testing.T) {
	t.Parallel()
	cs := sasl.TLSState(tls.ConnectionState{Version: tls.VersionTLS12})
	tests := []struct {
		name   string
		picked string
		o      scram.ClientOptions
		with   []sasl.Option
		want   error
	}{
		{"nothing to bind", "SCRAM-SHA-512-PLUS", scram.ClientOptions{}, []sasl.Option{sasl.RemoteMechanisms(sixMechanisms...), cs}, scram.ErrBindingLocal},
		{"no TLS", "SCRAM-SHA-512-PLUS", scram.ClientOptions{}, []sasl.Option{sasl.RemoteMechanisms(sixMechanisms...)}, scram.ErrBindingLocal},
		{"no TLS, binding required", "SCRAM-SHA-512-PLUS", scram.ClientOptions{Policy: require}, []sasl.Option{sasl.RemoteMechanisms(sixMechanisms...)}, scram.ErrBindingLocal},
		{"weaker hash", "SCRAM-SHA-1", scram.ClientOptions{}, []sasl.Option{sasl.RemoteMechanisms(threePlain...)}, scram.ErrNoMechanism},
		{"PLAIN before SCRAM", "PLAIN", scram.ClientOptions{Policy: plainToo}, []sasl.Option{sasl.RemoteMechanisms(threePlain...), cs}, scram.ErrNoMechanism},
		{"PLAIN in clear", "PLAIN", scram.ClientOptions{Policy: plainToo}, []sasl.Option{sasl.RemoteMechanisms("PLAIN")}, scram.ErrPlainRefused},
		{"list unknown", "SCRAM-SHA-1", scram.ClientOptions{}, nil, scram.ErrNoMechanism},
		{"no password for PLAIN", "PLAIN", scram.ClientOptions{Policy: plainToo}, []sasl.Option{sasl.RemoteMechanisms("PLAIN"), cs, sasl.Credentials(func() (_, _, _ []byte) { return })}, scram.ErrNeedPassword},
	}
	user := sasl.Credentials(func() (username, password, identity []byte) { return []byte("user"), []byte("pencil"), nil })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := sasl.NewClient(mechanism(t, &tt.o, tt.picked), append([]sasl.Option{user}, tt.with...)...)
			if more, out, err := n.Step(nil); more || out != nil || !errors.Is(err, tt.want) {
				t.Errorf("got %v, %q, %v, want %v", more, out, err, tt.want)
			}
		})
	}
	server := sasl.NewServer(mechanism(t, nil, "SCRAM-SHA-1"), nil)
	if more, _, err := server.Step([]byte(vectors[0].first)); more || err == nil {
		t.Errorf("in the server's role: %v, %v", more, err)
	}
}

// mechanism is the one of that name.
func mechanism(t *testing.T, o *scram.ClientOptions, name string) sasl.Mechanism {
	t.Helper()
	for _, m := range scram.Mechanisms(o) {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("no %s", name)
	return sasl.Mechanism{}
}

// TestMechanismNames: which mechanisms there are depends on the policy.
func TestMechanismNames(t *testing.T) {
	t.Parallel()
	plus := []string{"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"}
	others := []string{"SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"}
	tests := []struct {
		name string
		o    *scram.ClientOptions
		want []string
	}{
		{"default", nil, slices.Concat(plus, others)},
		{"required", &scram.ClientOptions{Policy: require}, plus},
		{"off", &scram.ClientOptions{Policy: off}, others},
		{"all", &scram.ClientOptions{Policy: scram.ClientPolicy{AllowPlain: true, External: true}}, slices.Concat([]string{"EXTERNAL"}, plus, others, []string{"PLAIN"})},
		{"PLAIN pinned away", &scram.ClientOptions{Policy: plainToo, Pins: scram.Pins{NoPlain: true}}, slices.Concat(plus, others)},
		{"one hash", &scram.ClientOptions{Policy: scram.ClientPolicy{Hashes: []scram.Hash{scram.SHA1}}}, []string{plus[2], others[2]}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, m := range scram.Mechanisms(tt.o) {
				got = append(got, m.Name)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
