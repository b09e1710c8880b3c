// Package storetest checks implementations of the store that package caps declares. It
// is for the tests of such implementations.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
)

// Store is what is tested.
type Store struct {
	caps.Store
	// Apply makes writes, in one transaction, and waits until Load must see them; nil
	// calls them one by one with a nil transaction.
	Apply func(t *testing.T, writes ...mux.Write)
}

// Test runs all checks. Each opens a store of its own, which must be empty and is
// cleaned up by what open registers with t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s Store)
	}{
		{"save", testSave},
		{"remove", testRemove},
		{"limit", testLimit},
		{"writes are in order", testOrder},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func at(seconds int64) time.Time { return time.UnixMicro(1_700_000_000_123_456 + seconds*1_000_000) }

var (
	old    = caps.Saved{Proto: caps.XEP0115, Algo: "sha-1", Value: "QgayPKawpkPSDYmwT/WM94uAlu0=", Features: []string{"urn:a", "urn:a+notify", "ü<&'\">🐝"}, Seen: at(1)}
	newer  = caps.Saved{Proto: caps.XEP0390, Algo: "sha-1", Value: "QgayPKawpkPSDYmwT/WM94uAlu0=", Features: []string{"urn:b"}, Seen: at(2)}
	newest = caps.Saved{Proto: caps.XEP0115, Algo: "sha-256", Value: "QgayPKawpkPSDYmwT/WM94uAlu0=", Seen: at(3)}
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

func (s Store) want(t *testing.T, limit int, want ...caps.Saved) {
	t.Helper()
	got, err := s.Load(t.Context(), limit)
	equal := func(a, b caps.Saved) bool {
		return a.Proto == b.Proto && a.Algo == b.Algo && a.Value == b.Value && slices.Equal(a.Features, b.Features) && a.Seen.Equal(b.Seen)
	}
	if err != nil || !slices.EqualFunc(got, want, equal) {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
}

func testSave(t *testing.T, s Store) {
	s.want(t, 10)
	s.apply(t, s.Save(newest), s.Save(old))
	s.want(t, 10, old, newest)
	s.apply(t, s.Save(newer))
	s.want(t, 10, old, newer, newest)
	again := old
	again.Features, again.Seen = []string{"urn:c"}, at(4)
	s.apply(t, s.Save(again))
	s.want(t, 10, newer, newest, again)
}

func testRemove(t *testing.T, s Store) {
	s.apply(t, s.Remove(old.Proto, old.Algo, old.Value))
	s.apply(t, s.Save(old), s.Save(newer), s.Save(newest))
	s.apply(t, s.Remove(newer.Proto, newer.Algo, newer.Value))
	s.want(t, 10, old, newest)
}

func testLimit(t *testing.T, s Store) {
	var all []caps.Saved
	for k := range 20 {
		one := caps.Saved{Proto: caps.XEP0390, Algo: "sha-256", Value: fmt.Sprint(k), Features: []string{"f"}, Seen: at(int64(k))}
		all = append(all, one)
		s.apply(t, s.Save(one))
	}
	s.want(t, 5, all[15:]...)
	s.want(t, 1, all[19])
}

// testOrder also applies a write twice, as a committer does after a rollback.
func testOrder(t *testing.T, s Store) {
	save, remove := s.Save(old), s.Remove(old.Proto, old.Algo, old.Value)
	s.apply(t, save, remove, save, remove, s.Save(newer), save)
	s.want(t, 10, old, newer)
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}
