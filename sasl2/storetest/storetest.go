// Package storetest checks implementations of the store that package sasl2
// declares. It is for the tests of such implementations.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
)

// Store is what is tested.
type Store struct {
	sasl2.Store
	// Apply makes writes, in one transaction, and waits until Clients must see them;
	// nil calls them one by one with a nil transaction.
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
		{"put", testPut},
		{"conflict", testConflict},
		{"one of many", testRace},
		{"limit", testLimit},
		{"retention", testRetention},
		{"remove", testRemove},
		{"drop tokens", testDropTokens},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var (
	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.net")

	day  = time.UnixMicro(1_700_000_000_123_456)
	many = sasl2.Keep{Max: 32}
)

// full has something in every field.
func full(id string) sasl2.Client {
	return sasl2.Client{
		ID: id, Software: "Höneybee <&'\">", Device: "🐝", First: day, Last: day.Add(time.Hour), Password: 7,
		New:     sasl2.Token{Slot: "n", Mechanism: "HT-SHA-256-EXPR", Generation: 8, Issued: day.Add(1e9), Expires: day.Add(2e9), Least: 3},
		Current: sasl2.Token{Slot: "c", Mechanism: "HT-SHA-256-NONE", Generation: 9, Issued: day.Add(3e9), Expires: day.Add(4e9), Least: 5},
	}
}

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

func (s Store) put(t *testing.T, account mux.Address, c sasl2.Client, k sasl2.Keep) {
	t.Helper()
	if err := s.Put(t.Context(), account, c, k); err != nil {
		t.Fatalf("put: %v", err)
	}
}

// same compares clients with times as instants.
func same(a, b sasl2.Client) bool {
	times := func(c *sasl2.Client) []*time.Time {
		return []*time.Time{&c.First, &c.Last, &c.New.Issued, &c.New.Expires, &c.Current.Issued, &c.Current.Expires}
	}
	bs := times(&b)
	for i, p := range times(&a) {
		if !p.Equal(*bs[i]) || p.IsZero() != bs[i].IsZero() {
			return false
		}
		*p, *bs[i] = time.Time{}, time.Time{}
	}
	return a == b
}

func (s Store) want(t *testing.T, account mux.Address, want ...sasl2.Client) {
	t.Helper()
	got, err := s.Clients(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b sasl2.Client) int { return strings.Compare(a.ID, b.ID) })
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("%v: got %+v, want %+v", account, got, want)
	}
}

// at is c as it is kept after that many writes.
func at(c sasl2.Client, version int64) sasl2.Client {
	c.Version = version
	return c
}

func testPut(t *testing.T, s Store) {
	s.want(t, juliet)
	a, b := full("a"), sasl2.Client{ID: "b", First: day, Last: day}
	s.put(t, juliet, a, many)
	s.put(t, juliet, b, many)
	s.put(t, romeo, a, many)
	s.want(t, juliet, at(a, 1), at(b, 1))
	changed := at(b, 1)
	changed.New, changed.Software = a.New, "other"
	s.put(t, juliet, changed, many)
	s.want(t, juliet, at(a, 1), at(changed, 2))
	s.want(t, romeo, at(a, 1))
}

func testConflict(t *testing.T, s Store) {
	a := full("a")
	for _, version := range []int64{1, 0, 0, 2, 1, 1} {
		err := s.Put(t.Context(), juliet, at(a, version), many)
		list, lerr := s.Clients(t.Context(), juliet)
		if lerr != nil {
			t.Fatal(lerr)
		}
		switch {
		case err == nil && len(list) == 1 && list[0].Version == version+1:
		case errors.Is(err, sasl2.ErrConflict) && (len(list) == 0 || list[0].Version != version):
		default:
			t.Errorf("version %d: error %v, now %+v", version, err, list)
		}
	}
	s.want(t, juliet, at(a, 2))
	s.apply(t, s.Remove(juliet, "a"))
	if err := s.Put(t.Context(), juliet, at(a, 2), many); !errors.Is(err, sasl2.ErrConflict) {
		t.Errorf("put of what was removed: %v", err)
	}
}

// testRace: of several that write the same version one succeeds.
func testRace(t *testing.T, s Store) {
	s.put(t, juliet, full("a"), many)
	var mu sync.Mutex
	var wg sync.WaitGroup
	won := 0
	for range 8 {
		wg.Go(func() {
			err := s.Put(t.Context(), juliet, at(full("a"), 1), many)
			if err != nil && !errors.Is(err, sasl2.ErrConflict) {
				t.Errorf("put: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d writes succeeded, want 1", won)
	}
}

// testLimit: those that were there last are kept, and what was written whatever
// its time.
func testLimit(t *testing.T, s Store) {
	var all []sasl2.Client
	for i := range 5 {
		c := full(fmt.Sprint(i))
		c.Last = day.Add(time.Duration(i) * time.Minute)
		all = append(all, at(c, 1))
		s.put(t, juliet, c, sasl2.Keep{Max: 3})
	}
	s.want(t, juliet, all[2], all[3], all[4])
	old := full("old")
	old.Last = day.Add(-time.Hour)
	s.put(t, romeo, old, sasl2.Keep{Max: 3})
	s.put(t, juliet, old, sasl2.Keep{Max: 3})
	s.want(t, juliet, all[3], all[4], at(old, 1))
	s.want(t, romeo, at(old, 1))
}

func testRetention(t *testing.T, s Store) {
	a, b, c := full("a"), full("b"), full("c")
	b.Last = day.Add(time.Minute)
	c.Last = day
	s.put(t, juliet, a, many)
	s.put(t, juliet, b, many)
	s.put(t, juliet, c, sasl2.Keep{Max: 32, Since: day.Add(2 * time.Minute)})
	s.want(t, juliet, at(a, 1), at(c, 1))
}

func testRemove(t *testing.T, s Store) {
	a, b := full("a"), full("b")
	s.put(t, juliet, a, many)
	s.put(t, juliet, b, many)
	s.put(t, romeo, a, many)
	s.apply(t, s.Remove(juliet, "b"), s.Remove(juliet, "unknown"))
	s.want(t, juliet, at(a, 1))
	s.put(t, juliet, b, many)
	s.apply(t, s.Remove(juliet, ""))
	s.want(t, juliet)
	s.want(t, romeo, at(a, 1))
}

func testDropTokens(t *testing.T, s Store) {
	a, b := full("a"), full("b")
	s.put(t, juliet, a, many)
	s.put(t, romeo, b, many)
	s.apply(t, s.DropTokens(juliet))
	a.New, a.Current, a.Password = sasl2.Token{}, sasl2.Token{}, 0
	s.want(t, juliet, at(a, 2))
	s.want(t, romeo, at(b, 1))
	if err := s.Put(t.Context(), juliet, at(full("a"), 1), many); !errors.Is(err, sasl2.ErrConflict) {
		t.Errorf("put with a token that was dropped: %v", err)
	}
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Clients(ctx, juliet); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if err := s.Put(ctx, juliet, full("a"), many); !errors.Is(err, context.Canceled) {
		t.Errorf("put: got error %v, want %v", err, context.Canceled)
	}
}
