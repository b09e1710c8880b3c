package scram_test

import (
	"crypto/tls"
	"crypto/x509"
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

// BenchmarkOffer is what a connection costs before the exchange: the data of its
// bindings, and the hash of the list.
func BenchmarkOffer(b *testing.B) {
	bed := newBed(b, scram.Options{})
	c := connect(b, issue(b, x509.ECDSAWithSHA256), tls.VersionTLS13).server
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bed.On(c).Start("SCRAM-SHA-256-PLUS", host); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnumeration is a wrong password for accounts of all kinds: for one
// mechanism they must take the same time (auth-register scenario 13).
func BenchmarkEnumeration(b *testing.B) {
	store := new(scram.Memory)
	all, err := scram.NewCredentials("pencil", quick)
	if err != nil {
		b.Fatal(err)
	}
	off := all
	off.Disabled = true
	for name, c := range map[string]scram.Credentials{"real": all, "offx": off, "oldx": {Keys: all.Keys[2:]}, "none": {}} {
		if _, err := store.Create(b.Context(), name+"@"+host, c); err != nil {
			b.Fatal(err)
		}
	}
	a := scram.New(store, &scram.Options{Policy: quick, Secret: [32]byte{1}})
	for _, mechanism := range []string{"SCRAM-SHA-256", "PLAIN"} {
		for _, name := range []string{"real", "nobo", "offx", "oldx", "none"} {
			if mechanism == "PLAIN" && name == "oldx" {
				continue // costs another hash, as unknown accounts do by Options.HashSets
			}
			b.Run(mechanism+"/"+name, func(b *testing.B) {
				for b.Loop() {
					guess(b, a, mechanism, name)
				}
			})
		}
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
