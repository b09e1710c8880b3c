// Package storetest checks implementations of the store that package pep declares. It
// is for the tests of such implementations.
package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// Store is what is tested.
type Store struct {
	pep.Store
	// Apply makes writes, in one transaction, and waits until reads must see them;
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
		{"nodes", testNodes},
		{"peers", testPeers},
		{"items", testItems},
		{"change order", testChange},
		{"names are octets", testNames},
		{"heads", testHeads},
		{"drop node", testDrop},
		{"remove account", testRemove},
		{"writes are in order", testOrder},
		{"parallel", testParallel},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var (
	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.net")
	orch   = mux.MustParseAddress("romeo@example.net/orchard ü")
	server = mux.MustParseAddress("example.org")
	when   = time.UnixMicro(1_700_000_000_123_456)
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

func node(name string) pep.Node {
	return pep.Node{Name: name, Config: pep.DefaultConfig(), Created: when, Creator: juliet, Seq: 3}
}

func item(id string, seq uint64) pep.Item {
	p := "<x xmlns='urn:x'>" + fmt.Sprint(seq) + " 🐝 &lt;</x>"
	return pep.Item{Entry: pep.Entry{ID: id, Seq: seq, At: when.Add(time.Duration(seq) * time.Second), Publisher: romeo, Size: len(p)}, Payload: p}
}

func put(seq uint64, items ...pep.Item) pep.Change { return pep.Change{Put: items, Seq: seq, Bytes: 7} }

// plain makes values comparable: times are the same if they are equal.
func plain[T any](v T) string { return fmt.Sprintf("%+v", v) }

func (s Store) nodes(t *testing.T, account mux.Address) []pep.Node {
	t.Helper()
	l, err := s.Load(t.Context(), account)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	for i := range l {
		l[i].Created = l[i].Created.In(time.UTC)
	}
	return l
}

func (s Store) wantNodes(t *testing.T, account mux.Address, want ...pep.Node) {
	t.Helper()
	for i := range want {
		want[i].Created = want[i].Created.In(time.UTC)
	}
	got := s.nodes(t, account)
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("nodes of %v:\ngot  %+v\nwant %+v", account, got, want)
	}
}

func (s Store) wantItems(t *testing.T, account mux.Address, name string, want ...pep.Item) {
	t.Helper()
	idx, err := s.Index(t.Context(), account, name)
	if err != nil {
		t.Fatalf("index: %v", err)
	}
	var ids []string
	var entries []string
	for _, w := range want {
		ids = append(ids, w.ID)
		e := w.Entry
		e.At = e.At.UTC()
		entries = append(entries, plain(e))
	}
	var got []string
	for _, e := range idx {
		e.At = e.At.UTC()
		got = append(got, plain(e))
	}
	if !slices.Equal(got, entries) {
		t.Errorf("index of %s:\ngot  %v\nwant %v", name, got, entries)
	}
	items, err := s.Items(t.Context(), account, name, append(ids, "no such item"))
	if err != nil {
		t.Fatalf("items: %v", err)
	}
	slices.SortFunc(items, func(a, b pep.Item) int { return cmp.Compare(a.Seq, b.Seq) })
	if len(items) != len(want) {
		t.Fatalf("%d items, want %d", len(items), len(want))
	}
	for i := range items {
		if items[i].ID != want[i].ID || items[i].Payload != want[i].Payload || items[i].Seq != want[i].Seq || !items[i].At.Equal(want[i].At) {
			t.Errorf("item %+v, want %+v", items[i], want[i])
		}
	}
}

func testNodes(t *testing.T, s Store) {
	s.wantNodes(t, juliet)
	a, b := node("b"), node("a")
	b.Config.Access, b.Config.Groups, b.Config.Title, b.Config.MaxItems = "roster", []string{"F\\n=\n", "Z ü"}, "a\\b\n<&>", pep.Max
	b.Config.Payloads, b.Config.NotifyConfig, b.Config.Expire = false, true, 60
	s.apply(t, s.PutNode(juliet, a), s.PutNode(juliet, b))
	s.wantNodes(t, juliet, b, a)
	s.wantNodes(t, romeo)
	// Another configuration leaves the rest.
	s.apply(t, s.Change(juliet, "b", put(9, item("1", 9))))
	a.Config.SendLast = "never"
	s.apply(t, s.PutNode(juliet, a))
	a.Seq, a.Bytes = 9, 7
	s.wantNodes(t, juliet, b, a)
	s.wantItems(t, juliet, "b", item("1", 9))
}

func testPeers(t *testing.T, s Store) {
	n := node("n")
	s.apply(t, s.SetPeer(juliet, "n", pep.Peer{JID: romeo, Affiliation: pep.Member})) // no such node
	s.apply(t, s.PutNode(juliet, n))
	s.wantNodes(t, juliet, n)
	n.Peers = []pep.Peer{
		{JID: server, Affiliation: pep.Outcast},
		{JID: romeo, Affiliation: pep.Publisher, Subscription: pep.Subscribed, Silent: true, Bounces: 2},
		{JID: orch, Subscription: pep.Pending, Temporary: true},
	}
	for _, p := range n.Peers {
		s.apply(t, s.SetPeer(juliet, "n", p))
	}
	s.wantNodes(t, juliet, n)
	for _, c := range []struct {
		who  mux.Address
		want []mux.Address
	}{{romeo, []mux.Address{juliet}}, {server, []mux.Address{juliet}}, {juliet, nil}} {
		if got, err := s.Involved(t.Context(), c.who); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v is involved with %v, error %v, want %v", c.who, got, err, c.want)
		}
	}
	n.Peers[1].Subscription, n.Peers[1].Silent = pep.NotSubscribed, false
	s.apply(t, s.SetPeer(juliet, "n", n.Peers[1]), s.SetPeer(juliet, "n", pep.Peer{JID: orch}), s.SetPeer(juliet, "n", pep.Peer{JID: orch}))
	n.Peers = n.Peers[:2]
	s.wantNodes(t, juliet, n)
}

func testItems(t *testing.T, s Store) {
	s.apply(t, s.PutNode(juliet, node("n")), s.PutNode(juliet, node("m")), s.PutNode(romeo, node("n")))
	s.wantItems(t, juliet, "n")
	s.apply(t, s.Change(juliet, "n", put(4, item("a", 4))), s.Change(juliet, "n", put(5, item("b", 5))), s.Change(juliet, "n", put(6, item("c", 6))))
	s.wantItems(t, juliet, "n", item("a", 4), item("b", 5), item("c", 6))
	s.wantItems(t, juliet, "m")
	s.wantItems(t, romeo, "n")
	s.apply(t, s.Change(juliet, "n", put(7, item("a", 7)))) // published again, it is the newest
	s.wantItems(t, juliet, "n", item("b", 5), item("c", 6), item("a", 7))
	bare := pep.Item{Entry: pep.Entry{ID: "d", Seq: 8, At: when}}
	s.apply(t, s.Change(juliet, "n", put(8, bare)))
	s.wantItems(t, juliet, "n", item("b", 5), item("c", 6), item("a", 7), bare)
	s.apply(t, s.Change(juliet, "n", pep.Change{Remove: []string{"c", "d", "nope"}, Seq: 9, Bytes: 1}))
	s.wantItems(t, juliet, "n", item("b", 5), item("a", 7))
	if n := s.nodes(t, juliet)[1]; n.Seq != 9 || n.Bytes != 1 {
		t.Errorf("node has %d and %d", n.Seq, n.Bytes)
	}
	s.apply(t, s.Change(juliet, "none", put(1, item("a", 1)))) // no such node
	s.wantItems(t, juliet, "none")
}

// testChange: all of a change in its order.
func testChange(t *testing.T, s Store) {
	s.apply(t, s.PutNode(juliet, node("n")), s.Change(juliet, "n", put(4, item("a", 4), item("b", 5))))
	s.apply(t, s.Change(juliet, "n", pep.Change{Remove: []string{"a"}, Put: []pep.Item{item("a", 6)}, Seq: 6}))
	s.wantItems(t, juliet, "n", item("b", 5), item("a", 6))
	s.apply(t, s.Change(juliet, "n", pep.Change{All: true, Put: []pep.Item{item("c", 7)}, Seq: 7}))
	s.wantItems(t, juliet, "n", item("c", 7))
}

func testNames(t *testing.T, s Store) {
	names := []string{"A", "a", "a ", "ä", "a\u0308", "é/\\%_'\"<&>[]", "İ"}
	var seq uint64
	for _, n := range names {
		s.apply(t, s.PutNode(juliet, node(n)))
		for _, id := range names {
			seq++
			s.apply(t, s.Change(juliet, n, put(seq, item(id, seq))))
		}
	}
	if got := len(s.nodes(t, juliet)); got != len(names) {
		t.Errorf("%d nodes, want %d", got, len(names))
	}
	seq = 0
	for _, n := range names {
		var want []pep.Item
		for _, id := range names {
			seq++
			want = append(want, item(id, seq))
		}
		s.wantItems(t, juliet, n, want...)
	}
}

func testHeads(t *testing.T, s Store) {
	never, silent := node("never"), node("tune")
	never.Config.SendLast = "never"
	silent.Config.Access = "whitelist"
	s.apply(t, s.PutNode(juliet, node("tune")), s.PutNode(juliet, never), s.PutNode(juliet, node("empty")), s.PutNode(juliet, node("mood")))
	s.apply(t, s.PutNode(romeo, silent), s.SetPeer(romeo, "tune", pep.Peer{JID: juliet, Affiliation: pep.Member}))
	for i, n := range []string{"tune", "never", "mood", "tune"} {
		s.apply(t, s.Change(juliet, n, put(uint64(i+4), item(fmt.Sprint(i), uint64(i+4)))))
	}
	s.apply(t, s.Change(romeo, "tune", put(4, item("r", 4))))
	read := func(nodes ...string) (l []string) {
		got, err := s.Heads(t.Context(), juliet, []mux.Address{romeo, server, juliet}, nodes)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range got {
			l = append(l, fmt.Sprintf("%s %s %s %s %s %d %s %v", h.Owner, h.Node, h.Config.Access, h.Item.ID, h.Peer.Affiliation, h.Item.Seq, h.Item.Payload, h.Peer.JID == juliet))
		}
		slices.Sort(l)
		return l
	}
	tune := fmt.Sprintf("%s tune presence 3 none 7 %s true", juliet, item("3", 7).Payload)
	other := fmt.Sprintf("%s tune whitelist r member 4 %s true", romeo, item("r", 4).Payload)
	if got, want := read("tune", "never", "empty", "nope"), []string{tune, other}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := read(); len(got) != 0 {
		t.Errorf("of no nodes: %q", got)
	}
	// What is configured otherwise, and what is gone.
	n := node("tune")
	n.Config.SendLast = "on_sub"
	s.apply(t, s.PutNode(juliet, n), s.Change(romeo, "tune", pep.Change{All: true, Seq: 5}))
	if got := read("tune"); len(got) != 0 {
		t.Errorf("got %q, want nothing", got)
	}
}

func testDrop(t *testing.T, s Store) {
	s.apply(t, s.DropNode(juliet, "n"))
	s.apply(t, s.PutNode(juliet, node("n")), s.PutNode(juliet, node("m")), s.Change(juliet, "n", put(4, item("a", 4))),
		s.SetPeer(juliet, "n", pep.Peer{JID: romeo, Subscription: pep.Subscribed}), s.DropNode(juliet, "n"))
	s.wantNodes(t, juliet, node("m"))
	s.apply(t, s.PutNode(juliet, node("n"))) // nothing of the old one is remembered
	s.wantNodes(t, juliet, node("m"), node("n"))
	s.wantItems(t, juliet, "n")
}

func testRemove(t *testing.T, s Store) {
	s.apply(t, s.RemoveAccount(juliet))
	for _, a := range []mux.Address{juliet, romeo} {
		s.apply(t, s.PutNode(a, node("n")), s.Change(a, "n", put(4, item("a", 4))))
	}
	p := pep.Peer{JID: juliet, Subscription: pep.Subscribed}
	s.apply(t, s.SetPeer(romeo, "n", p), s.SetPeer(juliet, "n", pep.Peer{JID: romeo, Affiliation: pep.Member}))
	s.apply(t, s.RemoveAccount(juliet))
	s.wantNodes(t, juliet)
	s.wantItems(t, juliet, "n")
	other := node("n")
	other.Seq, other.Bytes, other.Peers = 4, 7, []pep.Peer{p}
	s.wantNodes(t, romeo, other)
	s.wantItems(t, romeo, "n", item("a", 4))
}

// testOrder also applies writes twice, as a committer does after a rollback.
func testOrder(t *testing.T, s Store) {
	first, change := s.PutNode(juliet, node("n")), s.Change(juliet, "n", put(4, item("a", 4)))
	s.apply(t, first, change, s.DropNode(juliet, "n"), first, change, change, s.Change(juliet, "n", put(5, item("a", 5))))
	s.wantItems(t, juliet, "n", item("a", 5))
}

// testParallel: accounts do not disturb each other.
func testParallel(t *testing.T, s Store) {
	const accounts, items = 8, 20
	done := make(chan error, accounts)
	for i := range accounts {
		a := mux.MustParseAddress(fmt.Sprintf("a%d@example.net", i))
		writes := []mux.Write{s.PutNode(a, node("n"))}
		for j := range uint64(items) {
			writes = append(writes, s.Change(a, "n", put(j+4, item(fmt.Sprint(j%5), j+4))))
		}
		go func() {
			for _, w := range writes {
				s.apply(t, w)
			}
			l, err := s.Index(t.Context(), a, "n")
			if err == nil && (len(l) != 5 || l[4].Seq != items+3) {
				err = fmt.Errorf("%v has %+v", a, l)
			}
			done <- err
		}()
	}
	for range accounts {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, a := s.Load(ctx, juliet)
	_, b := s.Heads(ctx, juliet, []mux.Address{romeo}, []string{"n"})
	_, c := s.Index(ctx, juliet, "n")
	_, d := s.Items(ctx, juliet, "n", []string{"a"})
	_, e := s.Involved(ctx, juliet)
	for _, err := range []error{a, b, c, d, e} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want %v", err, context.Canceled)
		}
	}
}
