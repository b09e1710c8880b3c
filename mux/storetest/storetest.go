// Package storetest checks implementations of the stores that package mux
// declares. It is for the tests of such implementations.
package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Store is what is tested.
type Store struct {
	// Committer applies the writes of Sessions; the checks call its Notify. If
	// nil, writes are applied directly, with a nil transaction;
	// [TestCommitter] needs one.
	Committer mux.Committer
	Sessions  mux.SessionStore
}

// patience bounds what a test waits for that should happen at once.
const patience = 30 * time.Second

// TestSessions checks a store of sessions. Each check opens one of its own,
// which must be empty and is cleaned up by what open registers with t.Cleanup.
// Times may be kept to the millisecond.
func TestSessions(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"empty", testEmpty},
		{"save then load", testSave},
		{"save again", testSaveAgain},
		{"delete", testDelete},
		{"writes of one batch are in order", testSessionOrder},
		{"a write is applied again", testAgain},
		{"large data", testLarge},
		{"values are copied", testCopies},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, start(open(t))) })
	}
}

var (
	balcony = mux.MustParseAddress("juliet@example.net/balcony")
	orchard = mux.MustParseAddress("romeo@example.org/orchard & wall")
)

func testEmpty(t *testing.T, s *suite) { s.want(t) }

func testSave(t *testing.T, s *suite) {
	live := mux.SavedSession{ID: "a", JID: balcony, Data: []byte{0, 1, 2, 0xff}}
	waiting := mux.SavedSession{ID: "b", JID: orchard, Until: time.Date(2031, 2, 3, 4, 5, 6, 7_000_000, time.UTC)}
	s.apply(t, s.Sessions.Save(live))
	s.want(t, live)
	s.apply(t, s.Sessions.Save(waiting))
	s.want(t, live, waiting)
}

func testSaveAgain(t *testing.T, s *suite) {
	first := mux.SavedSession{ID: "a", JID: balcony, Until: time.Now().Truncate(time.Millisecond), Data: []byte("1")}
	s.apply(t, s.Sessions.Save(first))
	second := mux.SavedSession{ID: "a", JID: orchard, Data: []byte("22")}
	s.apply(t, s.Sessions.Save(second))
	s.want(t, second)
	first.Until = first.Until.Add(time.Hour)
	s.apply(t, s.Sessions.Save(first))
	s.want(t, first)
}

func testDelete(t *testing.T, s *suite) {
	a := mux.SavedSession{ID: "a", JID: balcony}
	b := mux.SavedSession{ID: "b", JID: balcony}
	s.apply(t, s.Sessions.Save(a), s.Sessions.Save(b))
	s.apply(t, s.Sessions.Delete("a"), s.Sessions.Delete("unknown"))
	s.want(t, b)
	s.apply(t, s.Sessions.Delete("a"), s.Sessions.Delete("b"))
	s.want(t)
}

func testSessionOrder(t *testing.T, s *suite) {
	a := func(data string) mux.Write {
		return s.Sessions.Save(mux.SavedSession{ID: "a", JID: balcony, Data: []byte(data)})
	}
	s.apply(t, a("1"), s.Sessions.Delete("a"), a("2"), a("3"))
	s.want(t, mux.SavedSession{ID: "a", JID: balcony, Data: []byte("3")})
}

// testAgain repeats writes, as a committer does after a rollback.
func testAgain(t *testing.T, s *suite) {
	b := mux.SavedSession{ID: "b", JID: balcony, Data: []byte("x")}
	save, del := s.Sessions.Save(b), s.Sessions.Delete("a")
	s.apply(t, s.Sessions.Save(mux.SavedSession{ID: "a", JID: balcony}), save, del, save, del)
	s.want(t, b)
}

func testLarge(t *testing.T, s *suite) {
	large := mux.SavedSession{ID: "a", JID: balcony, Data: slices.Repeat([]byte("0123456789abcdef"), 1<<16)}
	s.apply(t, s.Sessions.Save(large))
	s.want(t, large)
}

func testCopies(t *testing.T, s *suite) {
	given := mux.SavedSession{ID: "a", JID: balcony, Data: []byte("data")}
	s.apply(t, s.Sessions.Save(given))
	given.Data[0] = 'X' // allowed once the write is applied
	want := mux.SavedSession{ID: "a", JID: balcony, Data: []byte("data")}
	s.want(t, want)
	s.load(t)[0].Data[0] = 'X'
	s.want(t, want)
}

func testContext(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sessions.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: got error %v, want %v", err, context.Canceled)
	}
}

func (s *suite) load(t *testing.T) []mux.SavedSession {
	t.Helper()
	all, err := s.Sessions.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	slices.SortFunc(all, func(a, b mux.SavedSession) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// want compares what is kept, given in the order of IDs.
func (s *suite) want(t *testing.T, want ...mux.SavedSession) {
	t.Helper()
	got := s.load(t)
	same := func(a, b mux.SavedSession) bool {
		return a.ID == b.ID && a.JID == b.JID && a.Until.Equal(b.Until) && a.Until.IsZero() == b.Until.IsZero() &&
			slices.Equal(a.Data, b.Data)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("got %s, want %s", describe(got), describe(want))
	}
}
