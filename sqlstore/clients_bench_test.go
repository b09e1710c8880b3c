package sqlstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
)

// BenchmarkClients is what a login with a token asks of the store: reading an
// account's clients, of which there are as many as may be, and writing one.
func BenchmarkClients(b *testing.B) {
	d := temp(b, nil)
	s, juliet := d.Clients(), mux.MustParseAddress("juliet@example.net")
	keep := sasl2.Keep{Max: 32}
	for i := range 32 {
		must(b, s.Put(b.Context(), juliet, sasl2.Client{ID: fmt.Sprint(i), Last: time.Now()}, keep))
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if list, err := s.Clients(b.Context(), juliet); err != nil || len(list) != 32 {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			list, err := s.Clients(b.Context(), juliet)
			must(b, err)
			must(b, s.Put(b.Context(), juliet, list[0], keep))
		}
	})
}
