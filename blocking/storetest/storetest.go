// Package storetest checks implementations of the store that package blocking
// declares. It is for the tests of such implementations.
package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
)

// Store is what is tested.
type Store struct {
	blocking.Store
	// Apply makes writes, in one transaction, and waits until Load must see them;
	// nil calls them one by one with a nil transaction.
	Apply func(t *testing.T, writes ...mux.Write)
}

// Test runs all checks. Each opens a store of its own, which must be empty and
// is cleaned up by what open registers with t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s Store)
	}{
		{"add", testAdd},
		{"remove", testRemove},
		{"remove account", testRemoveAccount},
		{"writes are in order", testOrder},
		{"many", testMany},
		{"context ended", testContext},
		{"reverse", testReverse},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var (
	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.net")

	bare   = mux.MustParseAddress("paris@example.org")
	full   = mux.MustParseAddress("paris@example.org/Höme <&'\"> 🐝")
	domain = mux.MustParseAddress("example.com")
	place  = mux.MustParseAddress("example.com/x@y")
)

func (s Store) apply(t *testing.T, writes ...mux.Write) {
	t.Helper()
	if s.Apply != nil {
		s.Apply(t, writes...)
		return
	}
	for _, w := range writes {
		if err := w(t.Context(), nil); err != nil {
			t.Fatalf("write: %v", err)
		}
	}
}

// want checks a list, whose order does not count.
func (s Store) want(t *testing.T, account mux.Address, want ...mux.Address) {
	t.Helper()
	got, err := s.Load(t.Context(), account)
	if err != nil {
		t.Fatalf("%v: %v", account, err)
	}
	if len(got) != len(want) {
		t.Errorf("%v: got %d items, want %d", account, len(got), len(want))
	}
	for _, a := range want {
		if !slices.Contains(got, a) {
			t.Errorf("%v: %v is missing in %v", account, a, got)
		}
	}
}

func list(a ...mux.Address) []mux.Address { return a }

func testAdd(t *testing.T, s Store) {
	s.want(t, juliet)
	s.apply(t, s.Add(juliet, list(bare)))
	s.want(t, juliet, bare)
	s.want(t, romeo)
	s.apply(t, s.Add(juliet, list(full, bare, place)), s.Add(romeo, list(domain)))
	s.want(t, juliet, bare, full, place)
	s.want(t, romeo, domain)
}

func testRemove(t *testing.T, s Store) {
	s.apply(t, s.Remove(juliet, list(bare)))
	s.apply(t, s.Add(juliet, list(bare, full, domain)), s.Add(romeo, list(bare)))
	s.apply(t, s.Remove(juliet, list(bare, place)))
	s.want(t, juliet, full, domain)
	s.want(t, romeo, bare)
	s.apply(t, s.Remove(juliet, list(domain, full)))
	s.want(t, juliet)
}

func testRemoveAccount(t *testing.T, s Store) {
	s.apply(t, s.RemoveAccount(juliet))
	s.apply(t, s.Add(juliet, list(bare, full)), s.Add(romeo, list(bare)))
	s.apply(t, s.RemoveAccount(juliet))
	s.want(t, juliet)
	s.want(t, romeo, bare)
}

// testOrder also applies a write twice, as a committer does after a rollback.
func testOrder(t *testing.T, s Store) {
	first := s.Add(juliet, list(bare, full))
	s.apply(t, first, s.Remove(juliet, list(bare)), first, s.Remove(juliet, list(full)), s.Add(juliet, list(domain)))
	s.want(t, juliet, bare, domain)
}

func testMany(t *testing.T, s Store) {
	var all []mux.Address
	for i := range 5000 {
		all = append(all, mux.MustParseAddress(fmt.Sprintf("spam%d@example.org", i)))
	}
	s.apply(t, s.Add(juliet, all))
	if got, err := s.Load(t.Context(), juliet); err != nil || len(got) != len(all) {
		t.Errorf("got %d items, error %v", len(got), err)
	}
	s.apply(t, s.Remove(juliet, all[1:]))
	s.want(t, juliet, all[0])
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx, juliet); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

// testReverse is for stores that are [blocking.Reverse] as well.
func testReverse(t *testing.T, s Store) {
	r, ok := s.Store.(blocking.Reverse)
	if !ok {
		return
	}
	s.apply(t, s.Add(juliet, []mux.Address{bare, place}), s.Add(romeo, []mux.Address{full, domain}))
	all := []mux.Address{juliet, romeo, bare}
	for _, c := range []struct {
		contact string
		want    []mux.Address
	}{
		{bare.String(), []mux.Address{juliet}},
		{full.String(), []mux.Address{juliet, romeo}},
		{bare.String() + "/x", []mux.Address{juliet}},
		{"nurse@example.com", []mux.Address{romeo}},
		{"nurse@example.com/x@y", []mux.Address{juliet, romeo}},
		{"example.com", []mux.Address{romeo}},
		{place.String(), []mux.Address{juliet, romeo}},
		{"example.org", nil},
	} {
		got, err := r.Blockers(t.Context(), mux.MustParseAddress(c.contact), all)
		slices.SortFunc(got, func(a, b mux.Address) int { return cmp.Compare(a.String(), b.String()) })
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s is blocked by %v, error %v, want %v", c.contact, got, err, c.want)
		}
	}
	if got, err := r.Blockers(t.Context(), bare, nil); err != nil || len(got) != 0 {
		t.Errorf("of nobody: %v, error %v", got, err)
	}
}
