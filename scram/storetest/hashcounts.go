package storetest

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// testHashCounts: of one host, whatever others have; accounts without keys do not count.
func testHashCounts(t *testing.T, s Store) {
	counter, ok := s.(scram.HashCounter)
	if !ok {
		return
	}
	check := func(host string, accounts int, with map[scram.Hash]int) {
		t.Helper()
		n, got, err := counter.HashCounts(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		if n != accounts || !maps.Equal(got, with) {
			t.Errorf("%s: got %d, %v, want %d, %v", host, n, got, accounts, with)
		}
	}
	check("example.net", 0, nil)
	for i, hashes := range [][]scram.Hash{{scram.SHA1}, {scram.SHA1, scram.SHA512}, {}} {
		var c scram.Credentials
		for _, h := range hashes {
			c.Keys = append(c.Keys, key(h, 1))
		}
		create(t, s, fmt.Sprintf("%d@example.net", i), c)
	}
	create(t, s, "a@b.example.net", sample(1))
	check("example.net", 2, map[scram.Hash]int{scram.SHA1: 2, scram.SHA512: 1})
	check("b.example.net", 1, map[scram.Hash]int{scram.SHA1: 1, scram.SHA256: 1, scram.SHA512: 1})
	check("example.org", 0, nil)
	if err := s.Remove(t.Context(), "1@example.net"); err != nil {
		t.Fatal(err)
	}
	check("example.net", 1, map[scram.Hash]int{scram.SHA1: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := counter.HashCounts(ctx, "example.net"); err == nil {
		t.Error("no error with a context that has ended")
	}
}
