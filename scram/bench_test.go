package scram_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// BenchmarkServer is a whole exchange on the server: parsing, nonce,
// verification and signature.
func BenchmarkServer(b *testing.B) {
	for _, v := range vectors[:3] {
		k := mustKey(b, v.key)
		config := scram.ServerConfig{Nonce: fixedNonce(v.serverNonce)}
		first, final := []byte(v.first), []byte(v.final)
		b.Run(k.Hash.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s := scram.NewServer(k.Hash, config)
				if _, err := s.First(first); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Challenge(k); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Final(final); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkExchange adds preparation of the name, look-ups and the decoy. The
// cases that fail must take the same time.
func BenchmarkExchange(b *testing.B) {
	bed := newBed(b, scram.Options{Nonce: fixedNonce(serverNonce)})
	wrong := strings.Replace(vectors[1].final, "p=d", "p=e", 1)
	for _, c := range []struct{ name, username, final, want string }{
		{"success", "user", vectors[1].final, ""},
		{"wrong password", "user", wrong, scram.NotAuthorized},
		{"unknown user", "nobo", wrong, scram.NotAuthorized},
	} {
		first, final := []byte("n,,n="+c.username+",r="+clientNonce), []byte(c.final)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := bed.Start("SCRAM-SHA-256", host)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := e.Step(b.Context(), first); err != nil {
					b.Fatal(err)
				}
				_, _, err = e.Step(b.Context(), final)
				wantCondition(b, err, c.want)
			}
		})
	}
}

// BenchmarkPlain is a login with PLAIN at the default iteration count.
func BenchmarkPlain(b *testing.B) {
	for _, h := range scram.Hashes() {
		b.Run(h.String(), func(b *testing.B) {
			store := new(scram.Memory)
			policy := scram.Policy{Hashes: []scram.Hash{h}}
			c, err := scram.NewCredentials("pencil", policy)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := store.Create(b.Context(), "user@"+host, c); err != nil {
				b.Fatal(err)
			}
			a := scram.New(store, &scram.Options{Policy: policy})
			b.ReportAllocs()
			for b.Loop() {
				if err := plain(b, a, "", "user", "pencil", nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
