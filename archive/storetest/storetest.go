// Package storetest checks implementations of the stores that package archive
// declares. It is for the tests of such implementations.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
)

// Store is what is tested.
type Store struct {
	archive.Store
	archive.PrefsStore
	archive.Lister
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
		{"pages", testPages},
		{"walk", testWalk},
		{"names", testNames},
		{"times", testTimes},
		{"mark", testMark},
		{"remove", testRemove},
		{"again", testAgain},
		{"list", testList},
		{"preferences", testPrefs},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var (
	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.net")
	nurse  = mux.MustParseAddress("nurse@example.org/a room & <more>")
	tybalt = mux.MustParseAddress("tybalt@example.org/x")

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

// entry is message n: one each second, with the nurse but for every fourth.
func entry(n int) archive.Entry {
	with := nurse
	if n%4 == 0 {
		with = tybalt
	}
	return archive.Entry{ID: fmt.Sprint("m", n), At: start.Add(time.Duration(n) * time.Second), With: with,
		Stanza: []byte("<message xmlns='jabber:client'><body>é" + fmt.Sprint(n) + "</body></message>")}
}

// fill archives messages 1 to n.
func (s Store) fill(t *testing.T, account mux.Address, n int) {
	t.Helper()
	var writes []mux.Write
	for i := range n {
		writes = append(writes, s.Append(account, entry(i+1)))
	}
	s.apply(t, writes...)
}

func (s Store) page(t *testing.T, account mux.Address, q archive.Query) archive.Page {
	t.Helper()
	p, err := s.Page(t.Context(), account, q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return p
}

// ids are the messages of a page.
func ids(p archive.Page) string {
	var list []string
	for _, e := range p.Entries {
		list = append(list, strings.TrimPrefix(e.ID, "m"))
	}
	return strings.Join(list, " ")
}

func testPages(t *testing.T, s Store) {
	s.fill(t, juliet, 10) // with tybalt: 4 and 8
	s.fill(t, romeo, 3)
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	for _, tt := range []struct {
		name         string
		q            archive.Query
		want         string
		more         bool
		count, index int
	}{
		{"first page", archive.Query{Max: 3}, "1 2 3", true, 10, 0},
		{"everything", archive.Query{Max: 10}, "1 2 3 4 5 6 7 8 9 10", false, 10, 0},
		{"next page", archive.Query{Max: 3, PageAfter: "m3"}, "4 5 6", true, 10, 3},
		{"last of forward", archive.Query{Max: 5, PageAfter: "m7"}, "8 9 10", false, 10, 7},
		{"behind the end", archive.Query{Max: 5, PageAfter: "m10"}, "", false, 10, -1},
		{"last page", archive.Query{Max: 3, Backward: true}, "8 9 10", true, 10, 7},
		{"page before", archive.Query{Max: 3, Backward: true, PageBefore: "m8"}, "5 6 7", true, 10, 4},
		{"first of backward", archive.Query{Max: 5, Backward: true, PageBefore: "m4"}, "1 2 3", false, 10, 0},
		{"before the beginning", archive.Query{Max: 5, Backward: true, PageBefore: "m1"}, "", false, 10, -1},
		{"both ends", archive.Query{Max: 2, Backward: true, PageAfter: "m3", PageBefore: "m8"}, "6 7", true, 10, 5},
		{"none wanted", archive.Query{}, "", true, 10, -1},
		{"none wanted, none there", archive.Query{With: romeo}, "", false, 0, -1},
		{"bare", archive.Query{Max: 9, With: tybalt.Bare()}, "4 8", false, -1, -1},
		{"bare, backward", archive.Query{Max: 1, With: tybalt.Bare(), Backward: true}, "8", true, -1, -1},
		{"bare, further", archive.Query{Max: 3, With: nurse.Bare(), PageAfter: "m4"}, "5 6 7", true, -1, -1},
		{"bare, counted", archive.Query{With: nurse.Bare()}, "", true, 8, -1},
		{"full", archive.Query{Max: 2, With: nurse}, "1 2", true, -1, -1},
		{"other resource", archive.Query{Max: 2, With: mux.MustParseAddress("tybalt@example.org/y")}, "", false, -1, -1},
		{"nobody's", archive.Query{Max: 2, With: mux.MustParseAddress("x@example.org")}, "", false, -1, -1},
		{"ids", archive.Query{Max: 10, IDs: []string{"m7", "m2", "m4", "m2"}}, "2 4 7", false, 3, 0},
		{"ids, paged", archive.Query{Max: 1, IDs: []string{"m7", "m2", "m4"}, PageAfter: "m2"}, "4", true, 3, 1},
		{"ids, backward", archive.Query{Max: 2, IDs: []string{"m7", "m2", "m4"}, Backward: true}, "4 7", true, 3, 1},
		{"ids with", archive.Query{Max: 10, IDs: []string{"m7", "m2", "m4"}, With: tybalt}, "4", false, 1, 0},
		{"after and before", archive.Query{Max: 9, AfterID: "m2", BeforeID: "m6"}, "3 4 5", false, 3, 0},
		{"crossed", archive.Query{Max: 9, AfterID: "m6", BeforeID: "m2"}, "", false, 0, -1},
		{"after, paged", archive.Query{Max: 2, AfterID: "m2", PageAfter: "m4"}, "5 6", true, 8, 2},
		{"page outside", archive.Query{Max: 2, AfterID: "m5", PageAfter: "m2"}, "6 7", true, 5, 0},
		{"time", archive.Query{Max: 9, Start: at(3), End: at(5)}, "3 4 5", false, 3, 0},
		{"time between", archive.Query{Max: 9, Start: at(3).Add(1), End: at(5).Add(-1)}, "4", false, 1, 0},
		{"early", archive.Query{Max: 9, End: at(0)}, "", false, 0, -1},
		{"late", archive.Query{Max: 9, Start: at(11)}, "", false, 0, -1},
		{"long ago", archive.Query{Max: 2, Start: time.Unix(-1e10, 0), End: time.Unix(1e11, 0)}, "1 2", true, 10, 0},
		{"time with", archive.Query{Max: 9, Start: at(5), With: tybalt}, "8", false, -1, -1},
		{"up to", archive.Query{Max: 2, UpTo: 6, Backward: true}, "5 6", true, 6, 4},
		{"up to none", archive.Query{Max: 2, UpTo: -1}, "", false, 0, -1},
	} {
		p := s.page(t, juliet, tt.q)
		if got := ids(p); got != tt.want || p.More != tt.more || p.Count != tt.count || p.Index != tt.index {
			t.Errorf("%s: got %q, more %t, count %d, index %d; want %q, %t, %d, %d", tt.name, got, p.More, p.Count, p.Index, tt.want, tt.more, tt.count, tt.index)
		}
	}
	e := s.page(t, juliet, archive.Query{Max: 1}).Entries[0]
	if want := entry(1); !e.At.Equal(want.At) || string(e.Stanza) != string(want.Stanza) {
		t.Errorf("got %+v, want %+v", e, want)
	}
	size := len(entry(1).Stanza)
	for bytes, want := range map[int]string{1: "1", size: "1", 2 * size: "1 2", 3*size - 1: "1 2"} {
		if p := s.page(t, juliet, archive.Query{Max: 5, Bytes: bytes}); ids(p) != want || !p.More {
			t.Errorf("%d octets: got %q, more %t", bytes, ids(p), p.More)
		}
	}
	if p := s.page(t, mux.MustParseAddress("nobody@example.net"), archive.Query{Max: 5}); len(p.Entries) > 0 || p.More || p.Count != 0 {
		t.Errorf("no archive: got %+v", p)
	}
}

// testWalk goes through an archive both ways and finds each message once.
func testWalk(t *testing.T, s Store) {
	const n = 103
	s.fill(t, juliet, n)
	for _, with := range []mux.Address{{}, nurse, tybalt.Bare()} {
		var forward, backward []archive.Entry
		for q := (archive.Query{Max: 10, With: with}); ; {
			p := s.page(t, juliet, q)
			forward = append(forward, p.Entries...)
			if !p.More {
				break
			}
			q.PageAfter = p.Entries[len(p.Entries)-1].ID
		}
		for q := (archive.Query{Max: 10, With: with, Backward: true}); ; {
			p := s.page(t, juliet, q)
			backward = append(p.Entries, backward...)
			if !p.More {
				break
			}
			q.PageBefore = p.Entries[0].ID
		}
		want := map[mux.Address]int{{}: n, nurse: n - n/4, tybalt.Bare(): n / 4}[with]
		if len(forward) != want || !reflect.DeepEqual(forward, backward) {
			t.Errorf("with %v: %d forward, %d backward, want %d", with, len(forward), len(backward), want)
		}
	}
}

func testNames(t *testing.T, s Store) {
	s.fill(t, juliet, 3)
	s.apply(t, s.Append(romeo, archive.Entry{ID: "romeo's", At: start, With: juliet, Stanza: []byte("<message/>")}))
	for _, q := range []archive.Query{
		{AfterID: "x"}, {BeforeID: "x"}, {PageAfter: "x"}, {PageBefore: "x", Backward: true}, {IDs: []string{"m1", "x"}}, {IDs: []string{""}},
		{AfterID: "romeo's"}, {PageBefore: "romeo's"}, {IDs: []string{"romeo's"}},
		{AfterID: "x", Start: start.Add(time.Hour)}, {IDs: []string{"m1"}, BeforeID: "x"}, {UpTo: -1, PageAfter: "x"},
	} {
		q.Max = 5
		if p, err := s.Page(t.Context(), juliet, q); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("%+v: got %+v, error %v", q, p, err)
		}
	}
	if _, err := s.Page(t.Context(), mux.MustParseAddress("nobody@example.net"), archive.Query{PageAfter: "m1"}); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("no archive: error %v", err)
	}
}

// testTimes: a clock that goes back does not change the order.
func testTimes(t *testing.T, s Store) {
	at := func(n int, id string) mux.Write {
		return s.Append(juliet, archive.Entry{ID: "m" + id, At: start.Add(time.Duration(n) * time.Second), With: nurse, Stanza: []byte("<message/>")})
	}
	s.apply(t, at(5, "1"), at(3, "2"))
	s.apply(t, at(5, "3"), at(7, "4"))
	for _, tt := range []struct {
		from, to int
		want     string
	}{{0, 4, ""}, {0, 5, "1 2 3"}, {5, 5, "1 2 3"}, {5, 9, "1 2 3 4"}, {6, 9, "4"}, {8, 9, ""}} {
		q := archive.Query{Max: 9, Start: start.Add(time.Duration(tt.from) * time.Second), End: start.Add(time.Duration(tt.to) * time.Second)}
		if got := ids(s.page(t, juliet, q)); got != tt.want {
			t.Errorf("%d to %d: got %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}

// testMark: a mark is a point in the order of the writes.
func testMark(t *testing.T, s Store) {
	marks := make([]int64, 3)
	mark := func(i int) mux.Write { return s.Mark(juliet, func(last int64) { marks[i] = last }) }
	s.apply(t, mark(0), s.Append(juliet, entry(1)), s.Append(romeo, entry(1)), s.Append(juliet, entry(2)), mark(1), s.Append(juliet, entry(3)), mark(2))
	if got := ids(s.page(t, juliet, archive.Query{Max: 9})); got != "1 2 3" {
		t.Fatalf("got %q", got)
	}
	if marks[0] != 0 {
		t.Errorf("mark of an empty archive: %d", marks[0])
	}
	for i, want := range []string{1: "1 2", 2: "1 2 3"} {
		if got := ids(s.page(t, juliet, archive.Query{Max: 9, UpTo: marks[i]})); i > 0 && got != want {
			t.Errorf("mark %d: got %q, want %q", i, got, want)
		}
	}
}

func testRemove(t *testing.T, s Store) {
	s.fill(t, juliet, 10)
	s.fill(t, romeo, 5)
	want := func(what, want string) {
		t.Helper()
		if got := ids(s.page(t, juliet, archive.Query{Max: 20})); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	s.apply(t, s.Remove(juliet, archive.Removal{Keep: 10, Before: start, Limit: 100}))
	want("nothing", "1 2 3 4 5 6 7 8 9 10")
	s.apply(t, s.Remove(juliet, archive.Removal{Keep: 7, Limit: 2}))
	want("limit", "3 4 5 6 7 8 9 10")
	s.apply(t, s.Remove(juliet, archive.Removal{Keep: 7, Limit: 100}))
	want("count", "4 5 6 7 8 9 10")
	s.apply(t, s.Remove(juliet, archive.Removal{Keep: 100, Before: start.Add(6 * time.Second), Limit: 100}))
	want("age", "6 7 8 9 10")
	s.apply(t, s.Remove(juliet, archive.Removal{Before: start.Add(8 * time.Second), Limit: 1}))
	want("age and limit", "7 8 9 10")
	if _, err := s.Page(t.Context(), juliet, archive.Query{IDs: []string{"m6"}}); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("removed: error %v", err)
	}
	if p := s.page(t, juliet, archive.Query{Max: 1, With: nurse.Bare()}); ids(p) != "7" {
		t.Errorf("with: got %q", ids(p))
	}
	if p := s.page(t, juliet, archive.Query{Max: 1, PageAfter: "m8"}); p.Count != 4 || p.Index != 2 {
		t.Errorf("got count %d, index %d", p.Count, p.Index)
	}
	s.apply(t, s.Remove(juliet, archive.Removal{Before: start.Add(time.Hour), Limit: 100}))
	want("everything", "")
	s.apply(t, s.Append(juliet, entry(11)))
	want("more", "11")
	s.apply(t, s.Remove(juliet, archive.Removal{All: true}), s.Remove(mux.MustParseAddress("nobody@example.net"), archive.Removal{All: true}))
	want("all", "")
	s.apply(t, s.Append(juliet, entry(12)))
	want("again", "12")
	if got := ids(s.page(t, romeo, archive.Query{Max: 9})); got != "1 2 3 4 5" {
		t.Errorf("another archive: got %q", got)
	}
}

// testAgain: an account that is gone and comes back inherits nothing.
func testAgain(t *testing.T, s Store) {
	s.fill(t, juliet, 3)
	s.apply(t, s.Remove(juliet, archive.Removal{All: true}), s.Append(juliet, entry(4)))
	if p := s.page(t, juliet, archive.Query{Max: 9}); ids(p) != "4" || p.Count != 1 {
		t.Errorf("got %q, count %d", ids(p), p.Count)
	}
}

func testList(t *testing.T, s Store) {
	if s.Lister == nil {
		return
	}
	for _, a := range []string{"c@example.net", "a@example.net", "d@example.net", "b@example.net"} {
		s.fill(t, mux.MustParseAddress(a), 1)
	}
	var got []string
	for after := (mux.Address{}); ; {
		list, err := s.Archives(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			got = append(got, a.Local())
		}
		if len(list) < 3 {
			break
		}
		after = list[len(list)-1]
	}
	if strings.Join(got, "") != "abcd" {
		t.Errorf("got %q", got)
	}
}

func testPrefs(t *testing.T, s Store) {
	want := func(account mux.Address, want archive.Prefs) {
		t.Helper()
		got, err := s.LoadPrefs(t.Context(), account)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %+v, error %v, want %+v", account, got, err, want)
		}
	}
	some := archive.Prefs{Default: archive.Roster, Always: []mux.Address{nurse, romeo}, Never: []mux.Address{tybalt}}
	want(juliet, archive.Prefs{})
	s.apply(t, s.SetPrefs(juliet, some), s.SetPrefs(romeo, archive.Prefs{Default: archive.Never}))
	want(juliet, some)
	want(romeo, archive.Prefs{Default: archive.Never})
	s.apply(t, s.SetPrefs(juliet, archive.Prefs{}))
	want(juliet, archive.Prefs{})
	want(romeo, archive.Prefs{Default: archive.Never})
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Page(ctx, juliet, archive.Query{Max: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("page: got error %v, want %v", err, context.Canceled)
	}
	if _, err := s.LoadPrefs(ctx, juliet); !errors.Is(err, context.Canceled) {
		t.Errorf("preferences: got error %v, want %v", err, context.Canceled)
	}
}
