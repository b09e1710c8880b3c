package pep_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// answers are the requests by id that were answered, each with the error in short, "" for a
// result.
func answers(t *testing.T, l []string) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for _, el := range l {
		st, err := mux.Parse([]byte(el))
		if err != nil || st.Kind() != mux.IQ {
			continue
		}
		if _, twice := m[st.ID()]; twice {
			t.Errorf("two answers to %s", st.ID())
		}
		m[st.ID()] = ""
		if st.Type() == "error" {
			m[st.ID()] = shortError(st)
		}
	}
	return m
}

// race runs two functions at once, now the one and now the other a little earlier.
func (s *stage) race(round int, f, g func()) {
	if round%2 == 1 {
		f, g = g, f
	}
	var both sync.WaitGroup
	both.Go(f)
	for range round / 2 % 8 {
		runtime.Gosched()
	}
	both.Go(g)
	both.Wait()
	s.h.Settle()
}

// TestPreconditionRace: a publication for a private node and a change that makes it public:
// whatever comes first, nothing is published to a public node (S-3).
func TestPreconditionRace(t *testing.T) {
	t.Parallel()
	const rounds = 1000
	play(t, func(a *assembly) { a.opt.PerMinute, a.opt.MaxNodes = -1, rounds }, func(s *stage) {
		a, b := s.who("juliet/a"), s.who("juliet/b")
		before, refused := 0, 0
		for i := range rounds {
			node := strconv.Itoa(i)
			s.publish(node, "1", "access_model=whitelist")
			s.forget()
			publish := "<iq type='set' id='p'>" + publication(node, "2", "access_model=whitelist") + "</iq>"
			change := "<iq type='set' id='c'>" + configure(node, "access_model=open") + "</iq>"
			s.race(i, func() { a.Write(publish) }, func() { b.Write(change) })
			p, ok := answers(t, a.Arrived())["p"]
			if c, changed := answers(t, b.Arrived())["c"]; !ok || !changed || c != "" {
				t.Fatalf("round %d: no answer, or the change is refused with %q", i, c)
			}
			kept := index(t, s, node)
			switch {
			case p == "" && slices.Equal(kept, []string{"2"}):
				before++ // and so it is in the node that was private
			case p == "cancel/conflict/precondition-not-met" && slices.Equal(kept, []string{"1"}):
				refused++
			default:
				t.Fatalf("round %d: answered with %q, kept %v", i, p, kept)
			}
		}
		if before == 0 || refused == 0 {
			t.Errorf("%d before the change, %d refused: that was no race", before, refused)
		}
	})
}

// TestMakersRace: two clients make a node with different options: one does, the other is
// refused, and the node is the winner's (S-4).
func TestMakersRace(t *testing.T) {
	t.Parallel()
	const rounds = 100
	play(t, func(a *assembly) { a.opt.PerMinute = -1 }, func(s *stage) {
		a, b, first := s.who("juliet/a"), s.who("juliet/b"), 0
		for i := range rounds {
			node := "m" + strconv.Itoa(i)
			s.forget()
			s.race(i, func() {
				a.Write("<iq type='set' id='max'>" + publication(node, "a", "max_items=max", "title=A") + "</iq>")
			},
				func() {
					b.Write("<iq type='set' id='one'>" + publication(node, "b", "max_items=1", "title=B") + "</iq>")
				})
			got := answers(t, append(a.Arrived(), b.Arrived()...))
			nodes, err := s.store.Load(t.Context(), addr("juliet@example.net"))
			if err != nil || len(nodes) != i+1 {
				t.Fatalf("%d nodes after %d rounds, error %v", len(nodes), i+1, err)
			}
			n := nodes[slices.IndexFunc(nodes, func(n pep.Node) bool { return n.Name == node })]
			is := fmt.Sprint(got["max"], "|", got["one"], "|", n.Config.MaxItems, n.Config.Title, index(t, s, node))
			const refused = "cancel/conflict/precondition-not-met"
			switch is {
			case fmt.Sprint("|", refused, "|", pep.Max, "A", []string{"a"}):
				first++
			case fmt.Sprint(refused, "||", 1, "B", []string{"b"}):
			default:
				t.Fatalf("round %d: %s", i, is)
			}
		}
		if first == 0 || first == rounds {
			t.Errorf("%d of %d made by the first: that was no race", first, rounds)
		}
	})
}

// TestDeleteRace: whoever subscribes to a node that is being deleted is subscribed and told
// of the end, or refused; nothing of it is left in a node of that name (S-7).
func TestDeleteRace(t *testing.T) {
	t.Parallel()
	const rounds = 200
	play(t, func(a *assembly) { a.opt.PerMinute = -1 }, func(s *stage) {
		j, r := s.there("juliet/a"), s.there("romeo")
		both := 0
		for i := range rounds {
			s.publish("n", strconv.Itoa(i), "send_last_published_item=never")
			s.forget()
			s.race(i, func() { j.Write("<iq type='set' id='d'>" + owner("<delete node='n'/>") + "</iq>") }, func() {
				r.Write("<iq type='set' id='s' to='juliet@example.net'>" + pubsub("<subscribe node='n' jid='romeo@example.net'/>") + "</iq>")
			})
			arrived := r.Arrived()
			subscribed, ok := answers(t, arrived)["s"]
			if d := answers(t, j.Arrived())["d"]; !ok || d != "" {
				t.Fatalf("round %d: no answer, or the deletion is refused with %q", i, d)
			}
			r.Clear()
			s.kept["romeo"] = arrived
			got := s.events("romeo")
			switch {
			case subscribed == "" && got == "delete:n":
				both++
			case subscribed == "cancel/item-not-found" && got == "":
			default:
				t.Fatalf("round %d: answered with %q, events %q", i, subscribed, got)
			}
			if in, err := s.store.Involved(t.Context(), addr("romeo@example.net")); err != nil || len(in) != 0 {
				t.Fatalf("round %d: kept %v, error %v", i, in, err)
			}
			s.publish("n", "again")
			if _, whole := s.full("juliet", "get", owner("<subscriptions node='n'/>")); strings.Contains(whole, "romeo") || s.events("romeo") != "" {
				t.Fatalf("round %d: the new node has the subscriber of the old: %s", i, whole)
			}
			s.ask("juliet", "set", owner("<delete node='n'/>"))
		}
		if both == 0 || both == rounds {
			t.Errorf("%d of %d subscribed first: that was no race", both, rounds)
		}
	})
}

// TestLargePayload: an item that is too large is refused, although the stream takes it;
// nothing is kept, nobody is told, and the stream goes on (S-6).
func TestLargePayload(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.there("romeo", "n", "new")
		s.publish("n", "1")
		s.forget()
		for _, node := range []string{"n", "new"} {
			big := pubsub("<publish node='" + node + "'><item id='2'><x xmlns='urn:x'>" + strings.Repeat("y", 252<<10) + "</x></item></publish>")
			if got := s.ask("juliet", "set", big); got != "modify/not-acceptable/payload-too-big" {
				t.Errorf("got %q", got)
			}
		}
		if got := s.sent(); len(got) != 0 {
			t.Errorf("events %q", got)
		}
		if got := s.items("juliet", "n", "", ""); got != "1" {
			t.Errorf("kept %q", got)
		}
		if got := s.ask("juliet", "get", pubsub("<items node='new'/>")); got != "cancel/item-not-found" {
			t.Errorf("a node came to be: %q", got)
		}
	})
}

// TestManyItems: a node with ten thousand items is read in pages, each item once in both
// directions; without pages the newest are; published again, the first is the last; and
// it is emptied with one event (S-8).
func TestManyItems(t *testing.T) {
	t.Parallel()
	const all = 10_000
	play(t, func(a *assembly) { large(t, a.store, all) }, func(s *stage) {
		s.there("romeo", "n")
		s.events("romeo")
		s.publish("n", "0") // the first again
		if got := s.events("romeo"); got != ">n:0" {
			t.Errorf("published again: %q", got)
		}
		for _, back := range []bool{false, true} {
			got := s.pages("juliet", "n", 100, back)
			if len(got) != all || got[0] != "1" || got[all-1] != "0" || got[all-2] != strconv.Itoa(all-1) {
				t.Errorf("back %t: %d items, %v … %v", back, len(got), got[:3], got[len(got)-3:])
			}
			slices.Sort(got)
			if n := len(slices.Compact(got)); n != all {
				t.Errorf("back %t: %d different items", back, n)
			}
		}
		cut := strings.Fields(s.items("romeo", "n", "", ""))
		if n := len(cut); n != 503 || cut[499] != "0" || cut[n-1] != fmt.Sprintf("count=%d", all) {
			t.Errorf("without pages: %d, … %v", n, cut[max(0, n-4):])
		}
		s.ask("juliet", "set", owner("<purge node='n'/>"))
		if got := s.events("romeo"); got != "purge:n" {
			t.Errorf("emptied: %q", got)
		}
		if got := s.items("romeo", "n", "", ""); got != "" || len(index(t, s, "n")) != 0 {
			t.Errorf("left: %q", got)
		}
	})
}

// large puts a node of juliet's with many items into a store.
func large(t testing.TB, store pep.Store, n int) {
	t.Helper()
	node := pep.Node{Name: "n", Config: pep.DefaultConfig(), Seq: uint64(n)}
	node.Config.MaxItems = pep.Max
	c := pep.Change{Seq: uint64(n)}
	for i := range n {
		c.Put = append(c.Put, pep.Item{Entry: pep.Entry{ID: strconv.Itoa(i), Seq: uint64(i) + 1, Size: 19}, Payload: "<x xmlns='urn:x'/>"})
	}
	juliet := addr("juliet@example.net")
	apply(t, store.PutNode(juliet, node), store.Change(juliet, "n", c))
}

// pages are all items of a node, in their order, read in pages forwards or backwards.
func (s *stage) pages(name, node string, size int, back bool) (all []string) {
	s.t.Helper()
	at := "<before/>"
	if !back {
		at = ""
	}
	for {
		var page []string
		first, last := "", ""
		for _, f := range strings.Fields(s.items(name, node, "", fmt.Sprintf("<set xmlns='http://jabber.org/protocol/rsm'><max>%d</max>%s</set>", size, at))) {
			switch k, v, ok := strings.Cut(f, "="); {
			case !ok:
				page = append(page, f)
			case k == "first":
				first, _, _ = strings.Cut(v, "@")
			case k == "last":
				last = v
			}
		}
		if len(page) == 0 {
			return all
		}
		if back {
			all, at = append(page, all...), "<before>"+first+"</before>"
		} else {
			all, at = append(all, page...), "<after>"+last+"</after>"
		}
	}
}
