// Package storetest checks implementations of the store that package vcard
// declares. It is for the tests of such implementations.
package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/vcard"
)

// Store is what is tested.
type Store struct {
	vcard.Store
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
		{"set", testSet},
		{"remove account", testRemove},
		{"writes are in order", testOrder},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var (
	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.net")
)

const (
	some  = "<vCard xmlns='vcard-temp'><FN>Juliet Höme &lt;&amp;'\"&gt; 🐝</FN></vCard>"
	other = "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>"
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

func (s Store) want(t *testing.T, account mux.Address, want string) {
	t.Helper()
	got, err := s.Load(t.Context(), account)
	if err != nil || got != want {
		t.Errorf("%v: got %q, error %v, want %q", account, got, err, want)
	}
}

func testSet(t *testing.T, s Store) {
	s.want(t, juliet, "")
	s.apply(t, s.Set(juliet, some))
	s.want(t, juliet, some)
	s.want(t, romeo, "")
	s.apply(t, s.Set(juliet, other), s.Set(romeo, some))
	s.want(t, juliet, other)
	s.want(t, romeo, some)
	s.apply(t, s.Set(juliet, ""))
	s.want(t, juliet, "")
}

func testRemove(t *testing.T, s Store) {
	s.apply(t, s.RemoveAccount(juliet))
	s.apply(t, s.Set(juliet, some), s.Set(romeo, other))
	s.apply(t, s.RemoveAccount(juliet))
	s.want(t, juliet, "")
	s.want(t, romeo, other)
}

// testOrder also applies a write twice, as a committer does after a rollback.
func testOrder(t *testing.T, s Store) {
	first := s.Set(juliet, some)
	s.apply(t, first, s.RemoveAccount(juliet), first, s.Set(juliet, other))
	s.want(t, juliet, other)
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx, juliet); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}
