package scram_test

import (
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// BenchmarkClient is a whole exchange on the client, with keys kept from an earlier
// login.
func BenchmarkClient(b *testing.B) {
	for _, v := range clientVectors() {
		b.Run(v.name, func(b *testing.B) {
			k := benchKeys(b, v)
			challenge, success := []byte(v.challenge), []byte(v.success)
			b.ReportAllocs()
			for b.Loop() {
				c := v.client(b, func(o *scram.ClientOptions) { o.Password, o.Keys = nil, k })
				if _, err := c.First(); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Next(b.Context(), challenge); err != nil {
					b.Fatal(err)
				}
				if err := c.Verify(success); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchKeys(b *testing.B, v clientVector) []scram.ClientKeys {
	b.Helper()
	c := v.client(b)
	if _, err := c.First(); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Next(b.Context(), []byte(v.challenge)); err != nil {
		b.Fatal(err)
	}
	if err := c.Verify([]byte(v.success)); err != nil {
		b.Fatal(err)
	}
	return []scram.ClientKeys{c.Login().Keys}
}

// BenchmarkSaltPassword is the derivation of keys at the usual iteration count.
func BenchmarkSaltPassword(b *testing.B) {
	for _, h := range scram.Hashes() {
		b.Run(h.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := scram.SaltPassword(b.Context(), h, "pencil", []byte("saltsaltsaltsalt"), scram.DefaultIterations); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
