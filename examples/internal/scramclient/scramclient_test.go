package scramclient

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"

	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// handshake is a client's end of TLS.
func handshake(t *testing.T) *tls.ConnectionState {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	server := tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, SessionTicketsDisabled: true})
	client := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	cs := client.ConnectionState()
	return &cs
}

// TestMechanism: what is chosen, by the rules of package scram. Logging in with it is
// for the tests of the programs.
func TestMechanism(t *testing.T) {
	t.Parallel()
	password := scram.FixedPassword("correct horse")
	inside := handshake(t)
	for _, tt := range []struct {
		name  string
		o     scram.ClientOptions
		a     sasl2.Attempt
		first string // empty for SCRAM, which has a random part
		want  error
	}{
		{name: "SCRAM", o: scram.ClientOptions{Username: "romeo", Password: password}, a: sasl2.Attempt{Offer: sasl2.Offer{Mechanisms: []string{"SCRAM-SHA-256", "PLAIN"}}}},
		{name: "PLAIN", o: scram.ClientOptions{Username: "romeo", Password: password, Policy: scram.ClientPolicy{AllowPlain: true}},
			a: sasl2.Attempt{Offer: sasl2.Offer{Mechanisms: []string{"PLAIN"}}, TLS: inside}, first: "\x00romeo\x00correct horse"},
		{name: "PLAIN refused", o: scram.ClientOptions{Username: "romeo", Password: password},
			a: sasl2.Attempt{Offer: sasl2.Offer{Mechanisms: []string{"PLAIN"}}, TLS: inside}, want: scram.ErrPlainRefused},
		{name: "no password", o: scram.ClientOptions{Username: "romeo", Policy: scram.ClientPolicy{AllowPlain: true}},
			a: sasl2.Attempt{Offer: sasl2.Offer{Mechanisms: []string{"PLAIN"}}, TLS: inside}, want: scram.ErrNeedPassword},
		{name: "tried", o: scram.ClientOptions{Username: "romeo", Password: password},
			a: sasl2.Attempt{Offer: sasl2.Offer{Mechanisms: []string{"SCRAM-SHA-256"}}, Tried: []string{"SCRAM-SHA-256"}}, want: scram.ErrNoMechanism},
		{name: "EXTERNAL", o: scram.ClientOptions{Authzid: "romeo@example.net", Policy: scram.ClientPolicy{External: true}},
			a: sasl2.Attempt{Offer: sasl2.Offer{Mechanisms: []string{"EXTERNAL"}}, TLS: inside}, first: "romeo@example.net"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := Options(&tt.o).Mechanism(t.Context(), tt.a)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			if got, err := r.First(); err != nil || tt.first != "" && string(got) != tt.first {
				t.Errorf("first message %q, %v", got, err)
			}
			if tt.first == "" {
				return
			}
			if r.Verify(nil) != nil || r.Verify([]byte("x")) == nil {
				t.Error("there is nothing to verify")
			}
			if _, err := r.Next(t.Context(), []byte("x")); err == nil {
				t.Error("a challenge was answered")
			}
			if tt.a.Cached = true; tt.name == "PLAIN" {
				if _, err := Options(&tt.o).Mechanism(t.Context(), tt.a); err == nil {
					t.Error("PLAIN was sent along with the header")
				}
			}
		})
	}
}

// TestUpgrade: what a task computes is what the server's key is made of.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	salt := []byte("0123456789abcdef")
	o := Options(&scram.ClientOptions{Password: scram.FixedPassword("correct horse")})
	got, err := o.Upgrade(t.Context(), "UPGR-SCRAM-SHA-512", salt, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	want, err := scram.SaltPassword(t.Context(), scram.SHA512, "correct horse", salt, 10_000)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x, %v", got, want, err)
	}
	if _, err := o.Upgrade(t.Context(), "UPGR-TOTP", salt, 10_000); err == nil {
		t.Error("an unknown task was done")
	}
	if _, err := Options(&scram.ClientOptions{}).Upgrade(t.Context(), "UPGR-SCRAM-SHA-512", salt, 10_000); !errors.Is(err, scram.ErrNeedPassword) {
		t.Errorf("without a password: %v", err)
	}
}
