package scram_test

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

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

// BenchmarkEnumeration is a wrong password for accounts of all kinds: for one mechanism
// they must take the same time (auth-register scenario 13). Each round has one attempt
// for every kind, and there are a thousand rounds at least; the metrics are the largest
// difference between the medians of two kinds, which should be below 5 % or 1 ms.
func BenchmarkEnumeration(b *testing.B) {
	store := enumerated(b)
	for _, tt := range enumerations {
		a := scram.New(store, &scram.Options{Policy: quick, Secret: [32]byte{1}, HashSets: tt.sets})
		b.Run(tt.mechanism+"/"+strings.Join(tt.names, "_"), func(b *testing.B) {
			first, last := make([][]time.Duration, len(tt.names)), make([][]time.Duration, len(tt.names))
			round := func(n int) {
				for i := range tt.names {
					kind := (n + i) % len(tt.names) // nobody is always the first
					begun := time.Now()
					var challenged time.Time
					guess(b, a, tt.mechanism, tt.names[kind], func() { challenged = time.Now() })
					done := time.Now()
					if challenged.IsZero() {
						challenged = begun // PLAIN has one message
					}
					first[kind] = append(first[kind], challenged.Sub(begun))
					last[kind] = append(last[kind], done.Sub(challenged))
				}
			}
			for range 10 {
				round(0) // warms up
			}
			clear(first)
			clear(last)
			n := 0
			for ; b.Loop(); n++ {
				round(n)
			}
			for ; n < 1000; n++ {
				round(n)
			}
			b.ReportMetric(float64(n), "rounds")
			if tt.mechanism != scram.Plain {
				reportSpread(b, "first", first)
			}
			reportSpread(b, "last", last)
		})
	}
}

// reportSpread reports how far the medians of several kinds lie apart.
func reportSpread(b *testing.B, message string, kinds [][]time.Duration) {
	var medians []time.Duration
	for _, times := range kinds {
		slices.Sort(times)
		medians = append(medians, times[len(times)/2])
	}
	least, spread := slices.Min(medians), slices.Max(medians)-slices.Min(medians)
	b.ReportMetric(float64(spread)/1e3, message+"-spread-µs")
	b.ReportMetric(100*float64(spread)/float64(least), message+"-spread-%")
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
