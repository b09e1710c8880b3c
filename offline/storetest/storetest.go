// Package storetest checks implementations of the store that package offline
// declares. It is for the tests of such implementations.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/offline"
)

// Store is what is tested.
type Store struct {
	offline.Store
	// Apply makes writes, in one transaction, and returns when reads must see them,
	// at the latest when they wait for that; nil calls them one by one with a nil
	// transaction.
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
		{"order", testOrder},
		{"pages", testPages},
		{"remove", testRemove},
		{"usage", testUsage},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var (
	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.net")

	start = time.UnixMicro(1_700_000_000_000_000)
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

// whole is a message that is stored itself, reference one that an archive has.
func whole(second int, text string) offline.Message {
	return offline.Message{At: start.Add(time.Duration(second) * time.Second), Item: []byte(text)}
}

func reference(second int, id string) offline.Message {
	return offline.Message{At: start.Add(time.Duration(second) * time.Second), ID: id}
}

func (s Store) load(t *testing.T, account mux.Address, after offline.Message, limit, octets int) ([]offline.Message, bool) {
	t.Helper()
	list, more, err := s.Load(t.Context(), account, after, limit, octets)
	if err != nil {
		t.Fatal(err)
	}
	return list, more
}

func text(list []offline.Message) string {
	var texts []string
	for _, m := range list {
		texts = append(texts, string(m.Item)+m.ID)
	}
	return strings.Join(texts, " ")
}

func (s Store) want(t *testing.T, account mux.Address, want string) {
	t.Helper()
	list, more := s.load(t, account, offline.Message{}, 1000, 1<<20)
	if got := text(list); got != want || more {
		t.Errorf("%v: got %q, more %t, want %q", account, got, more, want)
	}
}

// testOrder: by time, and those of one time as they came.
func testOrder(t *testing.T, s Store) {
	s.want(t, juliet, "")
	s.apply(t, s.Add(juliet, whole(5, "a")), s.Add(juliet, reference(5, "b")), s.Add(romeo, whole(1, "x")), s.Add(juliet, whole(3, "c")))
	s.apply(t, s.Add(juliet, whole(5, "d")))
	s.want(t, juliet, "c a b d")
	s.want(t, romeo, "x")
	list, _ := s.load(t, juliet, offline.Message{}, 9, 1<<20)
	seen := map[int64]bool{}
	for _, m := range list {
		if m.Seq == 0 || seen[m.Seq] {
			t.Errorf("Seq %d again, or zero", m.Seq)
		}
		seen[m.Seq] = true
	}
	if !list[0].At.Equal(start.Add(3*time.Second)) || list[2].ID != "b" || len(list[2].Item) != 0 || list[0].ID != "" {
		t.Errorf("got %+v", list)
	}
}

func testPages(t *testing.T, s Store) {
	for i := range 7 {
		s.apply(t, s.Add(juliet, whole(i/3, fmt.Sprint(i))))
	}
	var got []offline.Message
	for after := (offline.Message{}); ; {
		list, more := s.load(t, juliet, after, 2, 1<<20)
		got = append(got, list...)
		if more != (len(got) < 7) {
			t.Fatalf("after %d: more %t", len(got), more)
		}
		if !more {
			break
		}
		after = list[len(list)-1]
	}
	if text(got) != "0 1 2 3 4 5 6" {
		t.Errorf("got %q", text(got))
	}
	for octets, want := range map[int]string{1: "0", 33: "0", 34: "0 1", 66: "0 1"} {
		if list, more := s.load(t, juliet, offline.Message{}, 9, octets); text(list) != want || !more {
			t.Errorf("%d octets: got %q, more %t", octets, text(list), more)
		}
	}
}

func testRemove(t *testing.T, s Store) {
	s.apply(t, s.Add(juliet, whole(1, "a")), s.Add(juliet, reference(2, "b")), s.Add(juliet, whole(3, "c")), s.Add(juliet, reference(4, "d")), s.Add(romeo, reference(1, "x")))
	list, _ := s.load(t, juliet, offline.Message{}, 9, 1<<20)
	s.apply(t, s.Remove(romeo, offline.Removal{Seqs: []int64{list[0].Seq}}))
	s.want(t, juliet, "a b c d")
	first := s.Remove(juliet, offline.Removal{Seqs: []int64{list[0].Seq, list[3].Seq, 1 << 40}})
	s.apply(t, first, first)
	s.want(t, juliet, "b c")
	s.apply(t, s.Remove(juliet, offline.Removal{References: true}))
	s.want(t, juliet, "c")
	s.want(t, romeo, "x")
	s.apply(t, s.Add(juliet, whole(9, "e")))
	if after, _ := s.load(t, juliet, offline.Message{}, 9, 1<<20); after[1].Seq <= list[3].Seq {
		t.Errorf("Seq %d after %d", after[1].Seq, list[3].Seq)
	}
	s.apply(t, s.Remove(juliet, offline.Removal{All: true}))
	s.want(t, juliet, "")
	s.want(t, romeo, "x")
}

func testUsage(t *testing.T, s Store) {
	want := func(account mux.Address, want offline.Usage) {
		t.Helper()
		got, err := s.Usage(t.Context(), account)
		if err != nil || got != want {
			t.Errorf("%v: got %+v, error %v, want %+v", account, got, err, want)
		}
	}
	want(juliet, offline.Usage{})
	s.apply(t, s.Add(juliet, whole(1, "é")), s.Add(juliet, reference(2, "bcd")), s.Add(romeo, whole(3, "x")))
	want(juliet, offline.Usage{Messages: 2, Bytes: 2 + 3 + 2*32})
	want(romeo, offline.Usage{Messages: 1, Bytes: 33})
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Load(ctx, juliet, offline.Message{}, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("load: got error %v", err)
	}
	if _, err := s.Usage(ctx, juliet); !errors.Is(err, context.Canceled) {
		t.Errorf("usage: got error %v", err)
	}
}
