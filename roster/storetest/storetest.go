// Package storetest checks implementations of the store that package roster
// declares. It is for the tests of such implementations.
package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/roster"
)

// Store is what is tested.
type Store struct {
	roster.Store
	// Committer applies the writes of the store; the checks call its Notify. If
	// nil, writes are applied directly, with a nil transaction.
	Committer mux.Committer
}

// Test runs all checks. Each opens a store of its own, which must be empty and
// is cleaned up by what open registers with t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"no roster", testNone},
		{"put then load", testPut},
		{"put again", testReplace},
		{"only a request", testPending},
		{"delete", testDelete},
		{"delete without tombstone", testDeleteQuietly},
		{"put after delete", testReturn},
		{"delete again", testDeleteTwice},
		{"tombstones are bounded", testBound},
		{"accounts are apart", testAccounts},
		{"remove account", testRemoveAccount},
		{"writes of one batch are in order", testOrder},
		{"a write is applied again", testAgain},
		{"values are copied", testCopies},
		{"epoch", testEpoch},
		{"many contacts", testMany},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, start(open(t))) })
	}
}

var (
	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.org")
	nurse  = mux.MustParseAddress("nurse@example.net")
)

func testNone(t *testing.T, s *suite) { s.want(t, juliet, 0, nil) }

func testPut(t *testing.T, s *suite) {
	plain := roster.Item{JID: nurse, Listed: true, Ver: 1}
	s.apply(t, s.Put(juliet, plain))
	s.want(t, juliet, 1, nil, plain)
	s.apply(t, s.Put(juliet, full(romeo, 2)))
	s.want(t, juliet, 2, nil, plain, full(romeo, 2))
	for i, sub := range []roster.Subscription{roster.None, roster.To, roster.From, roster.Both} {
		item := roster.Item{JID: nurse, Subscription: sub, Listed: true, Ver: uint64(i) + 3}
		s.apply(t, s.Put(juliet, item))
		s.want(t, juliet, item.Ver, nil, item, full(romeo, 2))
	}
	large := roster.Item{JID: nurse, Listed: true, Ver: 1<<63 - 1}
	s.apply(t, s.Put(juliet, large))
	s.want(t, juliet, large.Ver, nil, large, full(romeo, 2))
}

func testReplace(t *testing.T, s *suite) {
	s.apply(t, s.Put(juliet, full(romeo, 1)))
	bare := roster.Item{JID: romeo, Listed: true, Ver: 2}
	s.apply(t, s.Put(juliet, bare))
	s.want(t, juliet, 2, nil, bare)
}

func testPending(t *testing.T, s *suite) {
	s.apply(t, s.Put(juliet, full(nurse, 4)))
	request := roster.Item{JID: romeo, In: "<presence/>", Ver: 4}
	s.apply(t, s.Put(juliet, request))
	s.want(t, juliet, 4, nil, request, full(nurse, 4))
	s.apply(t, s.Delete(juliet, romeo, 0))
	s.want(t, juliet, 4, nil, full(nurse, 4))
}

func testDelete(t *testing.T, s *suite) {
	s.apply(t, s.Put(juliet, full(romeo, 1)), s.Put(juliet, full(nurse, 2)))
	s.apply(t, s.Delete(juliet, romeo, 3))
	s.want(t, juliet, 3, []roster.Tombstone{{JID: romeo, Ver: 3}}, full(nurse, 2))
	s.apply(t, s.Delete(juliet, nurse, 4))
	s.want(t, juliet, 4, []roster.Tombstone{{JID: romeo, Ver: 3}, {JID: nurse, Ver: 4}})
}

func testDeleteQuietly(t *testing.T, s *suite) {
	s.apply(t, s.Delete(juliet, romeo, 0))
	s.want(t, juliet, 0, nil)
	s.apply(t, s.Put(juliet, full(romeo, 1)))
	s.apply(t, s.Delete(juliet, romeo, 0))
	s.want(t, juliet, 1, nil)
	s.apply(t, s.Put(juliet, full(romeo, 2)), s.Delete(juliet, romeo, 3), s.Delete(juliet, romeo, 0))
	s.want(t, juliet, 3, []roster.Tombstone{{JID: romeo, Ver: 3}})
}

func testReturn(t *testing.T, s *suite) {
	s.apply(t, s.Put(juliet, full(romeo, 1)), s.Delete(juliet, romeo, 2))
	s.apply(t, s.Put(juliet, full(romeo, 3)))
	s.want(t, juliet, 3, nil, full(romeo, 3))
}

func testDeleteTwice(t *testing.T, s *suite) {
	s.apply(t, s.Delete(juliet, romeo, 1), s.Delete(juliet, nurse, 2))
	s.apply(t, s.Delete(juliet, romeo, 3))
	s.want(t, juliet, 3, []roster.Tombstone{{JID: nurse, Ver: 2}, {JID: romeo, Ver: 3}})
}

func testBound(t *testing.T, s *suite) {
	const kept, total = 500, 520
	var (
		writes []mux.Write
		want   []roster.Tombstone
	)
	for i := range total {
		contact := numbered(i * 7 % total)
		ver := uint64(i) + 1
		writes = append(writes, s.Delete(juliet, contact, ver))
		want = append(want, roster.Tombstone{JID: contact, Ver: ver})
	}
	s.apply(t, s.Delete(nurse, romeo, 1), s.Put(juliet, full(romeo, 1)))
	s.apply(t, writes...)
	s.want(t, juliet, total, want[total-kept:], full(romeo, 1))
	s.want(t, nurse, 1, []roster.Tombstone{{JID: romeo, Ver: 1}})
}

func testAccounts(t *testing.T, s *suite) {
	s.apply(t, s.Put(juliet, full(romeo, 1)), s.Put(nurse, full(romeo, 7)), s.Delete(juliet, romeo, 2))
	s.want(t, juliet, 2, []roster.Tombstone{{JID: romeo, Ver: 2}})
	s.want(t, nurse, 7, nil, full(romeo, 7))
}

func testRemoveAccount(t *testing.T, s *suite) {
	s.apply(t, s.RemoveAccount(juliet))
	s.apply(t, s.Put(juliet, full(romeo, 1)), s.Delete(juliet, nurse, 2), s.Put(nurse, full(juliet, 7)))
	s.apply(t, s.RemoveAccount(juliet))
	s.want(t, juliet, 0, nil)
	s.want(t, nurse, 7, nil, full(juliet, 7))
	s.apply(t, s.Put(juliet, full(romeo, 1)))
	s.want(t, juliet, 1, nil, full(romeo, 1))
}

func testOrder(t *testing.T, s *suite) {
	s.apply(t,
		s.Put(juliet, full(romeo, 1)),
		s.Delete(juliet, romeo, 2),
		s.Put(juliet, full(nurse, 3)),
		s.RemoveAccount(juliet),
		s.Put(juliet, full(nurse, 4)),
		s.Delete(juliet, romeo, 5),
		s.Put(juliet, full(romeo, 6)),
	)
	s.want(t, juliet, 6, nil, full(nurse, 4), full(romeo, 6))
}

// testAgain repeats writes, as a committer does after a rollback.
func testAgain(t *testing.T, s *suite) {
	put, del := s.Put(juliet, full(romeo, 1)), s.Delete(juliet, nurse, 2)
	s.apply(t, put, del, put, del)
	s.want(t, juliet, 2, []roster.Tombstone{{JID: nurse, Ver: 2}}, full(romeo, 1))
}

func testCopies(t *testing.T, s *suite) {
	given := full(romeo, 1)
	write := s.Put(juliet, given)
	given.Groups[0] = "changed before"
	s.apply(t, write)
	given.Groups[0] = "changed after"
	s.want(t, juliet, 1, nil, full(romeo, 1))
	got := s.load(t, juliet)
	got.Items[0].Groups[0] = "changed when read"
	s.want(t, juliet, 1, nil, full(romeo, 1))
}

func testEpoch(t *testing.T, s *suite) {
	first := s.load(t, juliet).Epoch
	if first == "" {
		t.Error("no epoch")
	}
	s.apply(t, s.Put(juliet, full(romeo, 1)), s.Put(nurse, full(romeo, 1)))
	for _, account := range []mux.Address{juliet, nurse} {
		if got := s.load(t, account).Epoch; got != first {
			t.Errorf("epoch of %v is %q, was %q", account, got, first)
		}
	}
}

func testMany(t *testing.T, s *suite) {
	var (
		writes []mux.Write
		items  []roster.Item
	)
	for i := range 1000 {
		item := full(numbered(i), uint64(i)+1)
		items = append(items, item)
		writes = append(writes, s.Put(juliet, item))
	}
	s.apply(t, writes...)
	s.want(t, juliet, 1000, nil, items...)
}

func testContext(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx, juliet); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: got error %v, want %v", err, context.Canceled)
	}
}
