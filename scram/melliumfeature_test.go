package scram_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/scram"
	"mellium.im/xmpp/stream"
)

// keeper remembers what was to be kept.
type keeper struct{ scram.Login }

func (k *keeper) options() *scram.ClientOptions {
	return &scram.ClientOptions{
		Password: scram.FixedPassword("pencil"),
		Save:     func(_ context.Context, l scram.Login) error { k.Login = l; return nil },
	}
}

// TestFeatures logs in on mellium sessions over real TLS.
func TestFeatures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name              string
		version           uint16
		mechanisms, types []string
		change            func(*scram.ClientOptions)
		want, binding     string
		flag              string
	}{
		{"TLS 1.3", tls.VersionTLS13, sixMechanisms, twoTypes, nil, "SCRAM-SHA-512-PLUS", scram.TLSExporter, "p=tls-exporter,,"},
		{"TLS 1.2", tls.VersionTLS12, sixMechanisms, []string{scram.TLSUnique, scram.TLSServerEndPoint}, nil, "SCRAM-SHA-512-PLUS", scram.TLSUnique, "p=tls-unique,,"},
		{"end point", tls.VersionTLS13, sixMechanisms, endPoint, nil, "SCRAM-SHA-512-PLUS", scram.TLSServerEndPoint, "p=tls-server-end-point,,"},
		{"types not listed", tls.VersionTLS13, sixMechanisms, nil, nil, "SCRAM-SHA-512-PLUS", scram.TLSExporter, "p=tls-exporter,,"},
		{"no binding", tls.VersionTLS13, threePlain, nil, nil, "SCRAM-SHA-512", "", "y,,"},
		{"off", tls.VersionTLS13, sixMechanisms, twoTypes, func(o *scram.ClientOptions) { o.Policy.Binding = scram.BindingOff }, "SCRAM-SHA-512", "", "n,,"},
		{"one hash", tls.VersionTLS13, []string{"SCRAM-SHA-1", "X-FOREIGN"}, nil, nil, "SCRAM-SHA-1", "", "y,,"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var k keeper
			o := k.options()
			if tt.change != nil {
				tt.change(o)
			}
			err := meet(t, tt.version, scram.Features(o), func(p *peer) {
				p.mechanisms, p.types = tt.mechanisms, tt.types
				p.list()
				mechanism, first := p.wants("auth")
				if mechanism != tt.want || !strings.HasPrefix(first, tt.flag) {
					t.Errorf("got %s with %q", mechanism, first)
				}
				p.welcome(p.challenge(mechanism, first))
			})
			if err != nil {
				t.Fatal(err)
			}
			if l := k.Login; l.Mechanism != tt.want || l.BindingType != tt.binding || !l.ListVerified || l.Keys.Hash != hashOf(tt.want) || !l.Pins.NoPlain {
				t.Errorf("got %+v", l)
			}
		})
	}
}

// TestFeaturesLastChallenge: a server may send its last message as a challenge, which
// an empty response answers, and then an empty success (RFC 6120 §6.3.10).
func TestFeaturesLastChallenge(t *testing.T) {
	t.Parallel()
	var k keeper
	err := meet(t, 0, scram.Features(k.options()), func(p *peer) {
		p.mechanisms = threePlain
		p.list()
		mechanism, first := p.wants("auth")
		p.sasl("challenge", p.challenge(mechanism, first))
		if _, data := p.wants("response"); data != "" {
			t.Errorf("got %q", data)
		}
		p.send(" ") // white space keeps a connection alive
		p.welcome("")
	})
	if err != nil || k.Mechanism != "SCRAM-SHA-512" {
		t.Errorf("got %q, %v", k.Mechanism, err)
	}
}

// TestFeaturesRetry: the next hash is tried once, and then no other, and never PLAIN.
func TestFeaturesRetry(t *testing.T) {
	t.Parallel()
	for _, last := range []string{"right", scram.NotAuthorized, scram.AccountDisabled, "hangs up"} {
		t.Run(last, func(t *testing.T) {
			t.Parallel()
			var k keeper
			o := k.options()
			o.Policy.AllowPlain = true
			asked := 0
			o.Password = func(context.Context) (string, error) { asked++; return "pencil", nil }
			err := meet(t, 0, scram.Features(o), func(p *peer) {
				p.mechanisms = threePlain
				p.list()
				mechanism, first := p.wants("auth")
				p.challenge(mechanism, first)
				p.fail(scram.NotAuthorized)
				mechanism, again := p.wants("auth")
				if mechanism != "SCRAM-SHA-256" || again[len("y,,n=user,r="):] == first[len("y,,n=user,r="):] {
					t.Errorf("second attempt with %s", mechanism)
				}
				success := p.challenge(mechanism, again)
				switch last {
				case "hangs up":
				case "right":
					p.welcome(success)
				default:
					p.fail(last)
					if name, _, _ := p.read(); name == "auth" {
						t.Error("a third attempt")
					}
				}
			})
			want := map[string]error{"right": nil, scram.AccountDisabled: scram.ErrDisabled}
			if w, ok := want[last]; !ok && !errors.Is(err, scram.ErrWrongPassword) || ok && !errors.Is(err, w) {
				t.Errorf("got %v", err)
			}
			if asked != 1 {
				t.Errorf("asked for the password %d times", asked)
			}
		})
	}
}

// TestFeaturesGuessed: a server that lists -PLUS without types, and refuses the default
// type, as ejabberd 23.01 does on TLS 1.3. The client does not go on without binding.
func TestFeaturesGuessed(t *testing.T) {
	t.Parallel()
	for _, types := range [][]string{nil, twoTypes} {
		err := meet(t, 0, scram.Features(new(keeper).options()), func(p *peer) {
			p.mechanisms, p.types = []string{"SCRAM-SHA-512-PLUS", "SCRAM-SHA-512", "PLAIN"}, types
			p.list()
			p.wants("auth")
			p.fail(scram.NotAuthorized)
			if name, _, _ := p.read(); name == "auth" {
				t.Error("a second attempt")
			}
		})
		if errors.Is(err, scram.ErrBindingGuessed) != (types == nil) || errors.Is(err, scram.ErrBinding) != (types == nil) || !errors.Is(err, scram.ErrWrongPassword) {
			t.Errorf("types %q: got %v", types, err)
		}
	}
}

// TestFeaturesOldKeys: kept keys that are refused call for the password.
func TestFeaturesOldKeys(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keySHA512)
	keys, err := scram.NewClientKeys(t.Context(), k.Hash, "pencil", k.Salt, k.Iterations)
	if err != nil {
		t.Fatal(err)
	}
	err = meet(t, 0, scram.Features(&scram.ClientOptions{Keys: []scram.ClientKeys{keys}}), func(p *peer) {
		p.mechanisms = threePlain
		p.list()
		p.challenge(p.wants("auth"))
		p.fail(scram.NotAuthorized)
		mechanism, first := p.wants("auth")
		m, err := scram.ParseClientFirst([]byte(first))
		if err != nil {
			t.Error(err)
		}
		p.sasl("challenge", attempt{unsigned: true}.challenge(hashOf(mechanism), m.Nonce))
		p.wants("abort")
	})
	if !errors.Is(err, scram.ErrWrongPassword) || !errors.Is(err, scram.ErrNeedPassword) {
		t.Errorf("got %v", err)
	}
}

// TestFeaturesRefused: the failures of a server have types. Those that another hash
// would not help with are final.
func TestFeaturesRefused(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]error{
		scram.AccountDisabled: scram.ErrDisabled, scram.CredentialsExpired: scram.ErrExpired,
		scram.TemporaryAuthFailure: scram.ErrTemporary, scram.MalformedRequest: nil,
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			err := meet(t, 0, scram.Features(new(keeper).options()), func(p *peer) {
				p.mechanisms = threePlain
				p.list()
				p.wants("auth")
				p.fail(condition)
				if name, _, _ := p.read(); name == "auth" {
					t.Error("a second attempt")
				}
			})
			refused, ok := errors.AsType[*scram.RefusedError](err)
			if !ok || refused.Condition != condition || refused.Text != "because" || refused.Mechanism != "SCRAM-SHA-512" || want != nil && !errors.Is(err, want) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, scram.ErrWrongPassword) {
				t.Error("taken for a wrong password")
			}
		})
	}
}

// TestFeaturesHostile is a server that does not keep to the protocol. The client gives
// up, says so with an abort, and keeps nothing.
func TestFeaturesHostile(t *testing.T) {
	t.Parallel()
	full := func(p *peer) string {
		p.mechanisms = threePlain
		p.list()
		return p.challenge(p.wants("auth"))
	}
	start := func(p *peer) {
		p.mechanisms = threePlain
		p.list()
		p.wants("auth")
	}
	tests := []struct {
		name   string
		script func(p *peer)
		want   error
		abort  bool
	}{
		{"success at once", func(p *peer) { start(p); p.sasl("success", "") }, scram.ErrServerNotAuthenticated, true},
		{"success at once with a signature", func(p *peer) { start(p); p.sasl("success", vectors[1].success) }, scram.ErrServerNotAuthenticated, true},
		{"success without a signature", func(p *peer) { full(p); p.sasl("success", "") }, scram.ErrServerNotAuthenticated, true},
		{"wrong signature", func(p *peer) { full(p); p.sasl("success", vectors[1].success) }, scram.ErrServerNotAuthenticated, true},
		{"error as success", func(p *peer) { full(p); p.sasl("success", "e=other-error") }, scram.ErrServerNotAuthenticated, true},
		{"success not base64", func(p *peer) { full(p); p.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>v</success>") }, scram.ErrServerNotAuthenticated, true},
		{"challenge not base64", func(p *peer) { start(p); p.send("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>r=</challenge>") }, scram.ErrServerMessage, true},
		{"challenge again", func(p *peer) { s := full(p); p.sasl("challenge", s); p.wants("response"); p.sasl("challenge", s) }, scram.ErrServerNotAuthenticated, true},
		{"weak", func(p *peer) { start(p); p.sasl("challenge", "r=x,s=c2FsdA==,i=1") }, scram.ErrServerMessage, true},
		{"foreign element", func(p *peer) { start(p); p.send("<challenge xmlns='urn:xmpp:sasl:2'/>") }, scram.ErrServerMessage, true},
		{"unknown element", func(p *peer) { start(p); p.send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>") }, scram.ErrServerMessage, true},
		{"text", func(p *peer) { start(p); p.send("hello"); p.send("<x/>") }, scram.ErrServerMessage, false},
		{"much text", func(p *peer) {
			start(p)
			p.send("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + strings.Repeat("AAAA", 5000) + "</challenge>")
		}, scram.ErrServerMessage, false},
		{"many elements", func(p *peer) {
			start(p)
			p.send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + strings.Repeat("<x/>", 500) + "</failure>")
		}, scram.ErrServerMessage, false},
		{"stream error", func(p *peer) {
			start(p)
			p.send("<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
		}, stream.PolicyViolation, false},
		{"lists changed", func(p *peer) {
			p.mechanisms = []string{"SCRAM-SHA-1"}
			p.list()
			mechanism, first := p.wants("auth")
			p.mechanisms = threePlain
			m, err := scram.ParseClientFirst([]byte(first))
			if err != nil {
				p.t.Error(err)
			}
			p.sasl("challenge", attempt{listed: scram.Listing{Mechanisms: p.mechanisms}}.challenge(hashOf(mechanism), m.Nonce))
		}, scram.ErrListTampered, true},
		{"types without mechanisms", func(p *peer) { p.mechanisms, p.types = threePlain, twoTypes; p.list() }, scram.ErrBindingContradiction, false},
		{"PLAIN only", func(p *peer) { p.mechanisms = []string{"PLAIN"}; p.list() }, scram.ErrPlainRefused, false},
		{"nothing", func(p *peer) { p.list() }, scram.ErrNoMechanism, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var k keeper
			err := meet(t, 0, scram.Features(k.options()), func(p *peer) {
				tt.script(p)
				if name, _, _ := p.read(); (name == "abort") != tt.abort || name == "auth" || name == "response" {
					t.Errorf("sent <%s/>", name)
				}
			})
			if !errors.Is(err, tt.want) || k.Mechanism != "" {
				t.Errorf("got %v, kept %q", err, k.Mechanism)
			}
		})
	}
}

// TestFeaturesPlain: PLAIN and EXTERNAL have one message, and pins to keep.
func TestFeaturesPlain(t *testing.T) {
	t.Parallel()
	for mechanism, want := range map[string]string{scram.Plain: "\x00user\x00pencil", scram.External: ""} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			for _, answer := range []string{"success", "challenge"} {
				var k keeper
				o := k.options()
				o.Policy.AllowPlain, o.Policy.External = true, true
				err := meet(t, 0, scram.Features(o), func(p *peer) {
					p.mechanisms = []string{mechanism}
					p.list()
					if got, data := p.wants("auth"); got != mechanism || data != want {
						t.Errorf("got %s with %q", got, data)
					}
					if answer == "success" {
						p.welcome("")
						return
					}
					p.sasl(answer, "")
					p.wants("abort")
				})
				if answer == "success" && (err != nil || k.Mechanism != mechanism || k.Pins.NoPlain != (mechanism == scram.External)) {
					t.Errorf("got %+v, %v", k.Login, err)
				}
				if answer != "success" && !errors.Is(err, scram.ErrServerMessage) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// TestFeaturesSave: a login that could not be kept is none.
func TestFeaturesSave(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	o := new(keeper).options()
	o.Save = func(context.Context, scram.Login) error { return full }
	err := meet(t, 0, scram.Features(o), func(p *peer) {
		p.mechanisms = threePlain
		p.list()
		p.sasl("success", p.challenge(p.wants("auth")))
	})
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// TestFeaturesCancelled: the context ends a login that waits for the server.
func TestFeaturesCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := meetContext(ctx, t, 0, scram.Features(new(keeper).options()), func(p *peer) {
			p.mechanisms = threePlain
			p.list()
			p.wants("auth")
			cancel()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
