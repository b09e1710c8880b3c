// Package storetest checks implementations of the store that package smacks
// declares. It is for the tests of such implementations.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// Store is what is tested.
type Store struct {
	smacks.Store
	// Apply makes writes, in one transaction, and waits until Load must see them;
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
		{"entries", testEntries},
		{"moved entries", testMoved},
		{"notes in any order", testNotes},
		{"counters wrap", testWrap},
		{"acknowledged", testAcked},
		{"arrived", testArrived},
		{"end", testEnd},
		{"last word", testLast},
		{"applied twice", testTwice},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var (
	now  = time.UnixMicro(1_700_000_000_123_456)
	last = smacks.Last{Account: mux.MustParseAddress("juliet@example.net"), Secret: [32]byte{1, 2, 3, 31: 4}, H: 1<<32 - 1, Until: now.Add(time.Hour)}
)

func entry(row uint64, text string) smacks.Entry {
	return smacks.Entry{Row: row, Number: uint32(row) + 5, Sent: row%2 == 1, Item: []byte(text)}
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

func (s Store) want(t *testing.T, want ...smacks.Saved) {
	t.Helper()
	got, err := s.Load(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if l := got[i].Last; l != nil {
			l.Until = l.Until.UTC()
		}
	}
	for i := range want {
		if l := want[i].Last; l != nil {
			c := *l
			c.Until = c.Until.UTC()
			want[i].Last = &c
		}
	}
	if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func testEntries(t *testing.T, s Store) {
	s.want(t)
	s.apply(t, s.Note("a", smacks.Counters{Handled: 3}), s.Append("a", entry(2, "two")), s.Append("a", entry(1, "one")), s.Note("b", smacks.Counters{Acked: 1}))
	s.want(t, smacks.Saved{Session: "a", Counters: smacks.Counters{Handled: 3}, Entries: []smacks.Entry{entry(1, "one"), entry(2, "two")}},
		smacks.Saved{Session: "b", Counters: smacks.Counters{Acked: 1}})
	again := entry(1, "one")
	again.Number, again.Sent = 77, false
	s.apply(t, s.Append("a", again))
	s.want(t, smacks.Saved{Session: "a", Counters: smacks.Counters{Handled: 3}, Entries: []smacks.Entry{again, entry(2, "two")}},
		smacks.Saved{Session: "b", Counters: smacks.Counters{Acked: 1}})
}

func testMoved(t *testing.T, s Store) {
	moved := func(row, old uint64, text string) smacks.Entry {
		e := entry(row, text)
		e.Old = old
		return e
	}
	const high = 1<<40 + 7
	s.apply(t, s.Append("a", entry(1, "one")), s.Append("a", entry(high, "later")), s.Append("b", entry(high, "other")), s.Append("a", moved(2, 0, "two")))
	s.want(t, smacks.Saved{Session: "a", Entries: []smacks.Entry{entry(1, "one"), entry(2, "two"), entry(high, "later")}},
		smacks.Saved{Session: "b", Entries: []smacks.Entry{entry(high, "other")}})
	s.apply(t, s.Append("a", moved(3, high, "later")), s.Append("a", moved(4, 1, "one")), s.Append("a", moved(2, 2, "two")))
	s.want(t, smacks.Saved{Session: "a", Entries: []smacks.Entry{entry(2, "two"), entry(3, "later"), entry(4, "one")}},
		smacks.Saved{Session: "b", Entries: []smacks.Entry{entry(high, "other")}})
}

func testNotes(t *testing.T, s Store) {
	s.apply(t, s.Note("a", smacks.Counters{Handled: 5}), s.Note("a", smacks.Counters{Acked: 7, Through: 2}), s.Note("a", smacks.Counters{Handled: 4, Acked: 6, Through: 1}))
	s.want(t, smacks.Saved{Session: "a", Counters: smacks.Counters{Handled: 5, Acked: 7, Through: 2}})
}

func testWrap(t *testing.T, s Store) {
	s.apply(t, s.Note("a", smacks.Counters{Handled: 1<<32 - 2, Acked: 1<<32 - 1}), s.Note("a", smacks.Counters{Handled: 1, Acked: 0}))
	s.want(t, smacks.Saved{Session: "a", Counters: smacks.Counters{Handled: 1, Acked: 0}})
}

func testAcked(t *testing.T, s Store) {
	s.apply(t, s.Append("a", entry(1, "one")), s.Append("a", entry(2, "two")), s.Append("a", entry(3, "three")), s.Append("b", entry(1, "other")), s.Note("b", smacks.Counters{Handled: 1}))
	s.apply(t, s.Note("a", smacks.Counters{Acked: 2, Through: 2}))
	s.want(t, smacks.Saved{Session: "a", Counters: smacks.Counters{Acked: 2, Through: 2}, Entries: []smacks.Entry{entry(3, "three")}},
		smacks.Saved{Session: "b", Counters: smacks.Counters{Handled: 1}, Entries: []smacks.Entry{entry(1, "other")}})
}

// testArrived: entries of all sessions learn that a copy has arrived, and only those
// of that message.
func testArrived(t *testing.T, s Store) {
	tagged := func(row uint64, tag string, arrived bool) smacks.Entry {
		e := entry(row, "x")
		e.Tag, e.Arrived = tag, arrived
		return e
	}
	s.apply(t, s.Note("a", smacks.Counters{Handled: 1}), s.Note("b", smacks.Counters{Handled: 1}),
		s.Append("a", tagged(1, "t", false)), s.Append("a", tagged(2, "u", false)), s.Append("a", tagged(3, "", false)), s.Append("b", tagged(1, "t", false)), s.Append("b", tagged(2, "v", true)))
	s.apply(t, s.Arrived([]string{"t", "nobody's", ""}), s.Arrived(nil))
	s.want(t, smacks.Saved{Session: "a", Counters: smacks.Counters{Handled: 1}, Entries: []smacks.Entry{tagged(1, "t", true), tagged(2, "u", false), tagged(3, "", false)}},
		smacks.Saved{Session: "b", Counters: smacks.Counters{Handled: 1}, Entries: []smacks.Entry{tagged(1, "t", true), tagged(2, "v", true)}})
}

func testEnd(t *testing.T, s Store) {
	s.apply(t, s.End("a", nil))
	s.apply(t, s.Note("a", smacks.Counters{Handled: 1}), s.Append("a", entry(1, "one")), s.Note("b", smacks.Counters{Handled: 2}))
	s.apply(t, s.End("a", nil))
	s.want(t, smacks.Saved{Session: "b", Counters: smacks.Counters{Handled: 2}})
}

func testLast(t *testing.T, s Store) {
	old := last
	old.Until = now
	s.apply(t, s.Note("a", smacks.Counters{Handled: 1}), s.Append("a", entry(1, "one")), s.End("a", &last), s.End("b", &old))
	s.want(t, smacks.Saved{Session: "a", Last: &last})
	s.apply(t, s.End("a", nil))
	s.want(t)
}

// testTwice: writes are made again when their transaction was rolled back.
func testTwice(t *testing.T, s Store) {
	writes := []mux.Write{s.Note("a", smacks.Counters{Handled: 1, Acked: 1, Through: 1}), s.Append("a", entry(2, "two")), s.End("b", &last)}
	s.apply(t, append(writes, writes...)...)
	s.want(t, smacks.Saved{Session: "a", Counters: smacks.Counters{Handled: 1, Acked: 1, Through: 1}, Entries: []smacks.Entry{entry(2, "two")}},
		smacks.Saved{Session: "b", Last: &last})
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx, now); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}
