// Package storetest checks implementations of the store that package private
// declares. It is for the tests of such implementations.
package storetest

import (
	"context"
	"encoding/xml"
	"errors"
	"maps"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/private"
)

// Store is what is tested.
type Store struct {
	private.Store
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

	prefs  = xml.Name{Space: "exodus:prefs", Local: "exodus"}
	notes  = xml.Name{Space: "storage:rosternotes", Local: "storage"}
	marked = xml.Name{Space: "storage:bookmarks", Local: "storage"}
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

// want checks all that is kept of an account.
func (s Store) want(t *testing.T, account mux.Address, want map[xml.Name]string) {
	t.Helper()
	sizes := make(map[xml.Name]int)
	for _, name := range []xml.Name{prefs, notes, marked} {
		got, err := s.Load(t.Context(), account, name)
		if err != nil || got != want[name] {
			t.Errorf("%v: %s is %q, error %v, want %q", account, name.Space, got, err, want[name])
		}
		if want[name] != "" {
			sizes[name] = len(want[name])
		}
	}
	got, err := s.Sizes(t.Context(), account)
	if err != nil || !maps.Equal(got, sizes) {
		t.Errorf("%v: sizes %v, error %v, want %v", account, got, err, sizes)
	}
}

func testSet(t *testing.T, s Store) {
	s.want(t, juliet, nil)
	const some = "<storage xmlns='storage:rosternotes'>Höme &lt;&amp;'\"> 🐝</storage>"
	s.apply(t, s.Set(juliet, notes, some))
	s.want(t, juliet, map[xml.Name]string{notes: some})
	s.want(t, romeo, nil)
	s.apply(t, s.Set(juliet, notes, "<a/>"), s.Set(juliet, marked, "<b/>"), s.Set(romeo, notes, "<c/>"))
	s.want(t, juliet, map[xml.Name]string{notes: "<a/>", marked: "<b/>"})
	s.want(t, romeo, map[xml.Name]string{notes: "<c/>"})
}

func testRemove(t *testing.T, s Store) {
	s.apply(t, s.RemoveAccount(juliet))
	s.apply(t, s.Set(juliet, notes, "<a/>"), s.Set(juliet, prefs, "<b/>"), s.Set(romeo, notes, "<c/>"))
	s.apply(t, s.RemoveAccount(juliet))
	s.want(t, juliet, nil)
	s.want(t, romeo, map[xml.Name]string{notes: "<c/>"})
}

// testOrder also applies a write twice, as a committer does after a rollback.
func testOrder(t *testing.T, s Store) {
	first := s.Set(juliet, notes, "<a/>")
	s.apply(t, first, s.RemoveAccount(juliet), first, s.Set(juliet, notes, "<b/>"))
	s.want(t, juliet, map[xml.Name]string{notes: "<b/>"})
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx, juliet, notes); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: error %v, want %v", err, context.Canceled)
	}
	if _, err := s.Sizes(ctx, juliet); !errors.Is(err, context.Canceled) {
		t.Errorf("Sizes: error %v, want %v", err, context.Canceled)
	}
}
