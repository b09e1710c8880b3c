package pep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// together has two sessions of juliet publish without waiting for each other.
func (s *stage) together(n int, payload func(i int) string) {
	s.t.Helper()
	var by [2][]string
	for i := range n {
		s.n++
		by[i%2] = append(by[i%2], "<iq type='set' id='t"+fmt.Sprint(i)+"'>"+payload(i)+"</iq>")
	}
	a, b, done := s.who("juliet/a"), s.who("juliet/b"), make(chan struct{})
	go func() {
		defer close(done)
		a.Write(by[0]...)
	}()
	b.Write(by[1]...)
	<-done
	s.h.Settle()
}

func index(t *testing.T, s *stage, node string) []string {
	t.Helper()
	l, err := s.store.Index(t.Context(), addr("juliet@example.net"), node)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range l {
		ids = append(ids, e.ID)
	}
	return ids
}

// TestParallel: many publications at once come in one order that all see and that is
// kept (S-1, S-2).
func TestParallel(t *testing.T) {
	t.Parallel()
	for _, same := range []bool{false, true} {
		play(t, nil, func(s *stage) {
			s.publish("n", "first", "max_items=10", "notify_retract=0")
			s.who("juliet/a")
			s.who("juliet/b")
			s.there("romeo", "n")
			s.there("nurse", "n")
			s.events("romeo")
			s.events("nurse")
			s.together(100, func(i int) string {
				if same {
					return publication("n", "x")
				}
				return publication("n", strconv.Itoa(i))
			})
			seen := strings.Fields(s.events("romeo"))
			if other := strings.Fields(s.events("nurse")); len(seen) != 100 || !slices.Equal(seen, other) {
				t.Errorf("%d events, and another sees %d, or in another order", len(seen), len(other))
			}
			kept := index(t, s, "n")
			if same {
				if !slices.Equal(kept, []string{"first", "x"}) {
					t.Errorf("kept %v", kept)
				}
				return
			}
			for i, id := range kept {
				if want := strings.TrimPrefix(seen[90+i], ">n:"); id != want {
					t.Errorf("kept %v, last seen %v", kept, seen[90:])
					break
				}
			}
		})
	}
}

// TestRaces: what contradicts is refused, whatever comes first (S-3, S-4).
func TestRaces(t *testing.T) {
	t.Parallel()
	for range 20 {
		play(t, nil, func(s *stage) {
			s.publish("n", "1", "access_model=whitelist")
			s.together(10, func(i int) string {
				if i == 5 {
					return configure("n", "access_model=open")
				}
				if i < 2 {
					return publication("m", strconv.Itoa(i), "max_items="+[]string{"max", "1"}[i])
				}
				return publication("n", strconv.Itoa(i), "access_model=whitelist")
			})
			refused, answers := 0, 0
			var conflicts []string
			for _, name := range []string{"juliet/a", "juliet/b"} {
				open := false
				for _, el := range s.who(name).Arrived() {
					st, err := mux.Parse([]byte(el))
					if err != nil || st.Kind() != mux.IQ {
						continue
					}
					answers++
					if st.ID() == "t5" {
						open = true
					}
					if st.Type() == "error" {
						conflicts = append(conflicts, st.ID())
						if got := shortError(st); got != "cancel/conflict/precondition-not-met" {
							t.Errorf("refused with %q", got)
						}
					}
					if st.ID() == "t0" || st.ID() == "t1" {
						if st.Type() == "error" {
							refused++
						}
						continue
					}
					if open && st.ID() != "t5" && st.Type() != "error" {
						t.Errorf("%s was accepted into an open node", st.ID())
					}
				}
			}
			if answers != 10 || refused != 1 {
				t.Errorf("%d answers, %d of the makers refused; conflicts %v", answers, refused, conflicts)
			}
		})
	}
}

// TestRefusedLeavesNothing: a publication that fails makes no node (S-5).
func TestRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.there("romeo", "n")
		big := pubsub("<publish node='n'><item id='1'><x xmlns='urn:x'>" + strings.Repeat("y", 250<<10) + "</x></item></publish>" +
			"<publish-options>" + form("publish-options", "access_model=open") + "</publish-options>")
		if got := s.ask("juliet", "set", big); got != "modify/not-acceptable/payload-too-big" {
			t.Errorf("got %q", got)
		}
		if _, whole := s.full("juliet", "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"); strings.Contains(whole, "<item") {
			t.Errorf("there is a node: %s", whole)
		}
		if got := s.events("romeo"); got != "" {
			t.Errorf("romeo got %q", got)
		}
	})
}

// TestOrder: items are in the order of publication, also of one that is published again;
// the oldest leave (PUB-3, PUB-4, PUB-12, PUB-13).
func TestOrder(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.there("romeo", "n")
		for _, id := range []string{"b", "a", "c", "b"} {
			s.publish("n", id, "max_items=3")
		}
		if got := s.items("juliet", "n", "", ""); got != "a c b" {
			t.Errorf("got %q", got)
		}
		s.publish("n", "d")
		if got := s.items("romeo", "n", "", ""); got != "c b d" {
			t.Errorf("got %q", got)
		}
		if got := s.items("romeo", "n", "max_items='2'", ""); got != "b d" {
			t.Errorf("got %q", got)
		}
		if got := s.events("romeo"); got != ">n:b >n:a >n:c >n:b >n:d n-a" {
			t.Errorf("events %q", got)
		}
		_, whole := s.full("juliet", "get", pubsub("<items node='n'><item id='d'/><item id='nope'/><item id='c'/><item id='d'/></items>"))
		if d, c := strings.Index(whole, "id='d'"), strings.Index(whole, "id='c'"); d < 0 || c < d || strings.Count(whole, "<item ") != 2 {
			t.Errorf("by id: %s", whole)
		}
		// Fewer are kept at once (OPT-9).
		s.ask("juliet", "set", configure("n", "max_items=1"))
		if got := s.items("juliet", "n", "", ""); got != "d" || fmt.Sprint(index(t, s, "n")) != "[d]" {
			t.Errorf("got %q, kept %v", got, index(t, s, "n"))
		}
		s.ask("juliet", "set", configure("n", "max_items=max"))
		if got := s.items("juliet", "n", "", ""); got != "d" {
			t.Errorf("got %q", got)
		}
		s.ask("juliet", "set", configure("n", "persist_items=0"))
		s.ask("juliet", "set", configure("n", "persist_items=1"))
		if got := s.items("juliet", "n", "", ""); got != "" {
			t.Errorf("got %q", got)
		}
	})
}

// TestPages: all pages together are each item once, forwards and backwards (S-8, ITM-5,
// ITM-6).
func TestPages(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) { a.opt.PerMinute = -1 }, func(s *stage) {
		for i := range 25 {
			s.publish("n", strconv.Itoa(i), "max_items=max")
		}
		rsm := func(inner string) string { return "<set xmlns='http://jabber.org/protocol/rsm'>" + inner + "</set>" }
		if got := s.items("juliet", "n", "", rsm("<max>0</max>")); got != "count=25" {
			t.Errorf("count: %q", got)
		}
		if got := s.items("juliet", "n", "", rsm("<max>3</max>")); got != "0 1 2 first=1@0 last=3 count=25" {
			t.Errorf("first page: %q", got)
		}
		if got := s.items("juliet", "n", "", rsm("<max>3</max><before/>")); got != "22 23 24 first=23@22 last=25 count=25" {
			t.Errorf("last page: %q", got)
		}
		// Publishing the first again moves it to the end; paging is not disturbed.
		s.publish("n", "1")
		s.ask("juliet", "set", pubsub("<retract node='n'><item id='2'/></retract>"))
		if got := s.items("juliet", "n", "", rsm("<max>2</max><after>3</after>")); got != "3 4 first=4@1 last=5 count=24" {
			t.Errorf("next page: %q", got)
		}
		for _, back := range []bool{false, true} {
			seen := make(map[string]int)
			at := ""
			for range 20 {
				q := "<max>4</max>"
				switch {
				case back && at == "":
					q += "<before/>"
				case back:
					q += "<before>" + at + "</before>"
				case at != "":
					q += "<after>" + at + "</after>"
				}
				fields := strings.Fields(s.items("juliet", "n", "", rsm(q)))
				if len(fields) == 1 {
					break
				}
				for _, f := range fields {
					name, v, ok := strings.Cut(f, "=")
					switch {
					case !ok:
						seen[f]++
					case name == "last" && !back:
						at = v
					case name == "first" && back:
						at, _, _ = strings.Cut(v, "@")
					}
				}
			}
			if len(seen) != 24 || slices.ContainsFunc([]string{"0", "1", "24"}, func(id string) bool { return seen[id] != 1 }) {
				t.Errorf("back %t: %v", back, seen)
			}
		}
	})
}

// TestCut: what is too much for one answer is cut to the newest, and says so; the owner gets
// more (ITM-7).
func TestCut(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.opt.PerMinute = -1
		n := pep.Node{Name: "n", Config: pep.DefaultConfig(), Seq: 1200}
		n.Config.MaxItems = pep.Max
		writes := []mux.Write{a.store.PutNode(addr("juliet@example.net"), n)}
		var c pep.Change
		for i := range uint64(1200) {
			c.Put = append(c.Put, pep.Item{Entry: pep.Entry{ID: fmt.Sprint(i), Seq: i + 1, At: time.Now()}, Payload: "<x xmlns='urn:x'/>"})
		}
		c.Seq = 1200
		apply(t, append(writes, a.store.Change(addr("juliet@example.net"), "n", c))...)
	}, func(s *stage) {
		for name, want := range map[string]int{"romeo": 500, "juliet": 1000} {
			l := strings.Fields(s.items(name, "n", "", ""))
			tail := l[len(l)-3:]
			if len(l) != want+3 || l[want-1] != "1199" || tail[2] != "count=1200" || tail[0] != fmt.Sprintf("first=%d@%d", 1201-want, 1200-want) {
				t.Errorf("%s got %d: … %v", name, len(l), l[len(l)-5:])
			}
		}
		if got := s.items("romeo", "n", "max_items='2'", ""); got != "1198 1199" {
			t.Errorf("got %q", got)
		}
	})
}

// TestCompare: preconditions are compared by what they mean (S-30, OPT-1 to OPT-4).
func TestCompare(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "max_items=max", "persist_items=1", "access_model=roster", "roster_groups_allowed=B,A")
		for option, want := range map[string]string{
			"max_items=max":                  "",
			"max_items=10000":                "cancel/conflict/precondition-not-met",
			"persist_items=true":             "",
			"persist_items=0":                "cancel/conflict/precondition-not-met",
			"roster_groups_allowed=A,B":      "",
			"roster_groups_allowed=A":        "cancel/conflict/precondition-not-met",
			"send_last_published_item=never": "cancel/conflict/precondition-not-met",
			"item_expire=max":                "",
			"title=":                         "",
			"title=x":                        "cancel/conflict/precondition-not-met",
			"max_payload_size=253952":        "",
			"node_type=leaf":                 "",
			"node_type=collection":           "cancel/conflict/precondition-not-met",
			"notify_config=false":            "",
			"deliver_payloads=1":             "",
			"publish_model=open":             "cancel/conflict/precondition-not-met",
			"send_last_published_item=on_sub_and_presence": "",
		} {
			if got := s.ask("juliet", "set", publication("n", "2", option)); got != want {
				t.Errorf("%s: got %q, want %q", option, got, want)
			}
		}
		_, whole := s.full("juliet", "get", owner("<configure node='n'/>"))
		for _, want := range []string{"type='form'", "<value>max</value>", "pubsub:integer-or-max", "<value>A</value><value>B</value>", "<value>http://jabber.org/protocol/pubsub#node_config</value>"} {
			if !strings.Contains(whole, want) {
				t.Errorf("no %s in %s", want, whole)
			}
		}
		// A part changes only what it says; cancel changes nothing.
		s.ask("juliet", "set", configure("n", "title=New"))
		s.ask("juliet", "set", strings.Replace(configure("n", "title=Newer"), "submit", "cancel", 1))
		_, whole = s.full("juliet", "get", owner("<configure node='n'/>"))
		if !strings.Contains(whole, "<value>New</value>") || !strings.Contains(whole, "<value>roster</value>") {
			t.Errorf("got %s", whole)
		}
	})
}

// TestExpire: items that are too old are not there (OPT-15).
func TestExpire(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "item_expire=60", "max_items=max")
		time.Sleep(30 * time.Second)
		s.publish("n", "2")
		time.Sleep(30 * time.Second)
		if got := s.items("juliet", "n", "", ""); got != "2" {
			t.Errorf("got %q", got)
		}
		if got := s.ask("juliet", "set", pubsub("<retract node='n'><item id='1'/></retract>")); got != "cancel/item-not-found" {
			t.Errorf("retract: %q", got)
		}
		time.Sleep(30 * time.Second)
		s.there("romeo", "n")
		s.there("juliet", "n")
		if r, j := s.events("romeo"), s.events("juliet"); r+j != "" {
			t.Errorf("romeo got %q, juliet %q", r, j)
		}
		s.publish("n", "3")
		if got := index(t, s, "n"); fmt.Sprint(got) != "[3]" {
			t.Errorf("kept %v", got)
		}
	})
}

// TestTransient: a node that keeps nothing has a last item all the same, and one that only
// tells has events without items (PUB-14).
func TestTransient(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "persist_items=0")
		s.there("juliet", "n", "told")
		if got := s.events("juliet"); got != "~n:1" {
			t.Errorf("juliet got %q", got)
		}
		s.ask("juliet", "set", pubsub("<create node='told'/><configure>"+form("node_config", "persist_items=0", "deliver_payloads=0")+"</configure>"))
		s.ask("juliet", "set", pubsub("<publish node='told'/>"))
		if got := s.events("juliet"); got != ">" {
			t.Errorf("juliet got %q", got)
		}
		// Items are kept, but not sent.
		s.publish("kept", "1", "deliver_payloads=0")
		s.there("romeo", "kept")
		s.events("romeo")
		s.publish("kept", "2")
		for _, el := range s.who("romeo").Arrived() {
			if strings.Contains(el, "urn:x") || !strings.Contains(el, "<item id='2'/>") {
				t.Errorf("romeo got %s", el)
			}
		}
	})
}

// TestPublishers: others publish as the node allows, and change only what is theirs
// (PUB-5, PUB-11, AFF-3).
func TestPublishers(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1", "max_items=max", "itemreply=publisher", "publish_model=publishers")
		s.ask("juliet", "set", owner("<affiliations node='n'><affiliation jid='romeo@example.net' affiliation='publisher'/></affiliations>"))
		for _, c := range []struct{ who, typ, payload, want string }{
			{"romeo", "set", publication("n", "r"), ""},
			{"romeo", "set", publication("n", "1"), "auth/forbidden"},
			{"nurse", "set", publication("n", "n"), "auth/forbidden"},
			{"romeo", "set", pubsub("<retract node='n'><item id='1'/></retract>"), "auth/forbidden"},
			{"romeo", "set", pubsub("<retract node='n'><item id='r'/></retract>"), ""},
			{"romeo", "set", owner("<purge node='n'/>"), "auth/forbidden"},
			{"juliet", "set", configure("n", "publish_model=subscribers"), ""},
			{"nurse", "set", publication("n", "n"), "auth/forbidden"},
			{"nurse", "set", pubsub("<subscribe node='n' jid='nurse@example.net'/>"), ""},
			{"nurse", "set", publication("n", "n"), ""},
			{"juliet", "set", configure("n", "publish_model=open"), ""},
			{"paris", "set", publication("n", "p"), ""},
			{"tybalt", "set", publication("n", "t"), "auth/forbidden"},
			{"juliet", "set", publication("n", "n"), ""},
		} {
			if got := s.ask(c.who, c.typ, c.payload); got != c.want {
				t.Errorf("%s %s: got %q, want %q", c.who, c.payload, got, c.want)
			}
		}
		_, whole := s.full("juliet", "get", pubsub("<items node='n'/>"))
		if !strings.Contains(whole, "id='p' publisher='paris@example.net'") || !strings.Contains(whole, "id='n' publisher='juliet@example.net'") {
			t.Errorf("got %s", whole)
		}
		if _, whole = s.full("romeo", "get", pubsub("<affiliations/>")); !strings.Contains(whole, "affiliation='publisher'") {
			t.Errorf("got %s", whole)
		}
		if _, whole = s.full("juliet", "get", owner("<affiliations node='n'/>")); !strings.Contains(whole, "<affiliation jid='juliet@example.net' affiliation='owner'/>") || !strings.Contains(whole, "affiliation='publisher'") {
			t.Errorf("got %s", whole)
		}
	})
}

// TestBounds: what others and clients can make grow is bounded (E-23, PSUB-10, PUB-16).
func TestBounds(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.opt = pep.Options{MaxNodes: 3, MaxSubscriptions: 2, MaxItems: 4, MaxBytes: 200, PerMinute: 12}
	}, func(s *stage) {
		s.publish("a", "1", "access_model=open", "max_items=max")
		s.publish("b", "1")
		s.publish("c", "1")
		ask := func(who, payload, want string) {
			t.Helper()
			if got := s.ask(who, "set", payload); got != want {
				t.Errorf("%s: got %q, want %q", payload, got, want)
			}
		}
		ask("juliet", publication("d", "1"), "wait/policy-violation/max-nodes-exceeded")
		ask("juliet", pubsub("<create node='d'/>"), "wait/policy-violation/max-nodes-exceeded")
		for _, who := range []string{"romeo", "nurse"} {
			ask(who, pubsub("<subscribe node='a' jid='"+who+"@example.net'/>"), "")
		}
		ask("romeo", pubsub("<subscribe node='a' jid='romeo@example.net'/>"), "")
		ask("paris", pubsub("<subscribe node='a' jid='paris@example.net'/>"), "wait/policy-violation/too-many-subscriptions")
		for i := range 4 {
			s.publish("a", fmt.Sprint(i))
		}
		if got := s.items("juliet", "a", "", ""); got != "0 1 2 3" {
			t.Errorf("kept %q", got)
		}
		ask("juliet", pubsub("<publish node='b'><item id='1'><x xmlns='urn:x'>"+strings.Repeat("y", 200)+"</x></item></publish>"), "wait/resource-constraint")
		for range 5 {
			s.publish("c", "1")
		}
		ask("juliet", publication("c", "1"), "wait/policy-violation") // the 13th
		time.Sleep(5 * time.Second)
		s.publish("c", "1")
	})
}

// TestCommitFails: what could not be written is not there, and nobody was told (E-33).
func TestCommitFails(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		s.there("romeo", "n")
		s.events("romeo")
		s.c.Hold()
		s.who("juliet/a").Send("<iq type='set' id='x'>"+publication("n", "2")+"</iq>", "<iq type='set' id='y'>"+publication("m", "2")+"</iq>")
		if got := s.events("romeo"); got != "" {
			t.Errorf("told before it is durable: %q", got)
		}
		s.c.Fail(errors.New("on purpose"))
		s.c.Release()
		s.h.Settle()
		if got := s.events("romeo"); got != "" {
			t.Errorf("told of what was not written: %q", got)
		}
		if got := s.items("juliet/b", "n", "", ""); got != "1" {
			t.Errorf("kept %q", got)
		}
		if got, _ := s.full("juliet/b", "get", pubsub("<items node='m'/>")); got != "cancel/item-not-found" {
			t.Errorf("the other node: %q", got)
		}
	})
}

// TestRestart: what was published is there after a restart, in its order, and numbers go
// on (OMEMO-2).
func TestRestart(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		for _, id := range []string{"1", "2", "3"} {
			s.publish("n", id, "max_items=2", "access_model=open")
		}
		s.h.Restart(s.extensions()...)
		clear(s.on)
		if got := s.items("stranger@example.org", "n", "", ""); got != "2 3" {
			t.Errorf("kept %q", got)
		}
		s.publish("n", "2")
		if got := s.items("stranger@example.org", "n", "", ""); got != "3 2" {
			t.Errorf("kept %q", got)
		}
	})
}

// counted counts the calls of a store.
type counted struct {
	pep.Store
	heads, loads, items int
	during              func() // runs in Heads, after it has read
}

func (c *counted) Heads(ctx context.Context, contact mux.Address, owners []mux.Address, nodes []string) ([]pep.Head, error) {
	c.heads++
	l, err := c.Store.Heads(ctx, contact, owners, nodes)
	if c.during != nil {
		c.during()
	}
	return l, err
}

func (c *counted) Load(ctx context.Context, account mux.Address) ([]pep.Node, error) {
	c.loads++
	return c.Store.Load(ctx, account)
}

func (c *counted) Items(ctx context.Context, account mux.Address, node string, ids []string) ([]pep.Item, error) {
	c.items++
	return c.Store.Items(ctx, account, node, ids)
}

// withContacts gives romeo many contacts with two nodes each.
func withContacts(t *testing.T, a *assembly, n int) *counted {
	t.Helper()
	c := &counted{Store: a.store}
	a.store = c
	for i := range n {
		who := addr(fmt.Sprintf("c%d@example.net", i))
		both(t, a, "romeo@example.net", who.String())
		for j, name := range []string{"tune", "mood"} {
			it := pep.Item{Entry: pep.Entry{ID: "1", Seq: uint64(j + 1), At: time.Now()}, Payload: "<x xmlns='urn:x'/>"}
			apply(t, c.PutNode(who, pep.Node{Name: name, Config: pep.DefaultConfig()}), c.Change(who, name, pep.Change{Put: []pep.Item{it}, Seq: it.Seq}))
		}
	}
	return c
}

func both(t testing.TB, a *assembly, one, two string) {
	t.Helper()
	apply(t, a.rosters.Put(addr(one), rosterItem(two)), a.rosters.Put(addr(two), rosterItem(one)))
}

// TestOneRead: who logs in with many contacts causes one read of last items, and no
// turns of theirs (NTF-9, 3.2).
func TestOneRead(t *testing.T) {
	t.Parallel()
	var c *counted
	play(t, func(a *assembly) { c = withContacts(t, a, 500) }, func(s *stage) {
		s.there("romeo", "tune", "mood", "nick", "urn:xmpp:avatar:metadata")
		if got := strings.Fields(s.events("romeo")); len(got) != 1000 {
			t.Errorf("%d last items, want 1000", len(got))
		}
		if c.heads != 1 || c.loads != 1 || c.items != 0 {
			t.Errorf("%d reads of heads, %d of nodes, %d of items, want 1, 1 (the own) and 0", c.heads, c.loads, c.items)
		}
	})
}

func iq(payload string) string { return "<iq type='set' id='during'>" + payload + "</iq>" }

// TestSuperseded: an event that comes while last items are read is not followed by an older
// item, nor by one that is gone (S-23, DEL-5).
func TestSuperseded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ payload, want string }{
		{iq(publication("n", "2")), ">n:2"},
		{iq(pubsub("<retract node='n' notify='1'><item id='1'/></retract>")), "n-1"},
		{iq(owner("<purge node='n'/>")), "purge:n"},
		{iq(owner("<delete node='n'/>")), "delete:n"},
		{iq(configure("n", "notify_retract=0")), "~n:1"},
		{iq(configure("n", "access_model=open")), "~n:1"},
		{iq(configure("n", "access_model=whitelist")), ""},
		{iq(owner("<affiliations node='n'><affiliation jid='romeo@example.net' affiliation='outcast'/></affiliations>")), ""},
		{iq("<block xmlns='urn:xmpp:blocking'><item jid='romeo@example.net'/></block>"), ""},
		{"<presence type='unsubscribed' to='romeo@example.net'/>", ""},
	} {
		store := &counted{}
		play(t, func(a *assembly) { store.Store, a.store = a.store, store }, func(s *stage) {
			s.publish("n", "1")
			s.there("juliet")
			j := s.who("juliet")
			read, go_ := make(chan struct{}), make(chan struct{})
			store.during = func() {
				store.during = nil
				close(read)
				<-go_
			}
			s.there("romeo", "n")
			<-read
			j.Send(c.payload)
			close(go_)
			synctest.Wait()
			if got := s.events("romeo"); got != c.want {
				t.Errorf("%s: romeo got %q, want %q", c.payload, got, c.want)
			}
		})
	}
}

// TestResumed: a session that comes back gets what it missed, and no last items (S-18).
func TestResumed(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		s.there("romeo", "n")
		if got := s.events("romeo"); got != "~n:1" {
			t.Errorf("got %q", got)
		}
		// Who leaves without a word is forgotten.
		s.who("romeo").Drop()
		s.publish("n", "2")
		delete(s.on, "romeo")
		if got := s.events("romeo"); got != "" {
			t.Errorf("before presence: %q", got)
		}
		s.there("romeo", "n")
		if got := s.events("romeo"); got != "~n:2" {
			t.Errorf("after: %q", got)
		}
	})
}

// TestKnown: a session that was there before a restart gets events and no last items.
func TestKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAssembly(t)
		exts := a.extensions()
		x := exts[3].(*pep.Extension)
		h := muxtest.New(t, nil, exts...)
		r := h.Connect(t, "romeo@example.net/1")
		r.Send("<presence/>")
		x.Known(addr("romeo@example.net/1"), []string{"n"})
		r.Clear()
		j := h.Connect(t, "juliet@example.net/1")
		j.Send("<iq type='set' id='1'>" + publication("n", "1") + "</iq>")
		r.Expect("<message from='juliet@example.net' to='romeo@example.net/1' type='headline' id='{*}'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item id='1'><x xmlns='urn:x'>1</x></item></items></event>" +
			"<addresses xmlns='http://jabber.org/protocol/address'><address type='replyto' jid='juliet@example.net/1'/></addresses></message>")
	})
}

// TestDisco: nodes are listed to those who may see them, and described (PEP-7 to
// PEP-10).
func TestDisco(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("open", "1", "access_model=open", "title=Öffentlich", "max_items=max")
		s.publish("open", "2")
		s.publish("private", "1", "access_model=whitelist")
		s.publish("presence", "1")
		const items, info = "<query xmlns='http://jabber.org/protocol/disco#items'%s/>", "<query xmlns='http://jabber.org/protocol/disco#info'%s/>"
		for _, c := range []struct {
			who, query, node string
			has, not         []string
		}{
			{"juliet/2", items, "", []string{"node='open' name='Öffentlich'", "node='private'", "node='presence'"}, nil},
			{"romeo", items, "", []string{"node='open'", "node='presence'"}, []string{"private"}},
			{"stranger@example.org", items, "", []string{"node='open'"}, []string{"private", "presence"}},
			{"stranger@example.org", info, "", []string{"category='pubsub' type='pep'", "category='account'", "pubsub#publish-options'", "pubsub#rsm'"}, nil},
			{"stranger@example.org", items, "open", []string{"jid='juliet@example.net' name='1'", "name='2'"}, []string{"<item node="}},
			{"stranger@example.org", info, "open", []string{"category='pubsub' type='leaf' name='Öffentlich'", "#meta-data", "<field var='pubsub#owner'><value>juliet@example.net", "creation_date"}, []string{"num_subscribers"}},
			{"juliet/2", info, "private", []string{"type='leaf'", "<field var='pubsub#num_subscribers'><value>0", "<value>whitelist</value>"}, nil},
			{"romeo", info, "private", []string{"closed-node"}, nil},
			{"stranger@example.org", info, "presence", []string{"presence-subscription-required"}, nil},
			{"romeo", info, "nope", []string{"item-not-found"}, nil},
		} {
			node := ""
			if c.node != "" {
				node = " node='" + c.node + "'"
			}
			_, whole := s.full(c.who, "get", fmt.Sprintf(c.query, node))
			for _, want := range c.has {
				if !strings.Contains(whole, want) {
					t.Errorf("%s %s%s: no %s in %s", c.who, c.query, node, want, whole)
				}
			}
			for _, not := range c.not {
				if strings.Contains(whole, not) {
					t.Errorf("%s %s%s: %s in %s", c.who, c.query, node, not, whole)
				}
			}
		}
	})
}

// TestFullAddress: a request to a full address is for the client there (PEP-2).
func TestFullAddress(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		j := s.there("juliet")
		j.Clear()
		s.who("romeo").Send("<iq type='get' id='f' to='juliet@example.net/1'>" + pubsub("<items node='n'/>") + "</iq>")
		if got := j.Arrived(); len(got) != 1 || !strings.Contains(got[0], "id='f'") {
			t.Errorf("juliet got %q", got)
		}
	})
}

// TestSubscriptions: what somebody is subscribed to, and how (PSUB-1 to PSUB-5, PSUB-9).
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.publish("n", "1")
		s.there("romeo")
		s.events("romeo")
		sub := pubsub("<subscribe node='n' jid='romeo@example.net'/>")
		for range 2 {
			if short, whole := s.full("romeo", "set", sub); short != "" || !strings.Contains(whole, "<subscription node='n' jid='romeo@example.net' subscription='subscribed'/>") {
				t.Errorf("got %q %s", short, whole)
			}
			if got := s.events("romeo"); got != "~n:1" {
				t.Errorf("events %q", got)
			}
		}
		s.ask("romeo", "set", pubsub("<subscribe node='n' jid='romeo@example.net/1'/>"))
		s.ask("nurse", "set", pubsub("<subscribe node='n' jid='nurse@example.net'/>"))
		_, whole := s.full("romeo", "get", pubsub("<subscriptions/>"))
		if strings.Count(whole, "<subscription ") != 2 || strings.Contains(whole, "nurse") {
			t.Errorf("got %s", whole)
		}
		if _, whole = s.full("romeo", "get", pubsub("<subscriptions node='m'/>")); !strings.Contains(whole, "<subscriptions node='m'></subscriptions>") {
			t.Errorf("got %s", whole)
		}
		if got := s.ask("romeo", "set", pubsub("<options node='n' jid='romeo@example.net'>"+form("subscribe_options", "deliver=0")+"</options>")); got != "" {
			t.Error(got)
		}
		if _, whole = s.full("romeo", "get", pubsub("<options node='n' jid='romeo@example.net'/>")); !strings.Contains(whole, "pubsub#deliver' type='boolean' label='Send events'><value>0</value>") {
			t.Errorf("got %s", whole)
		}
		for _, jid := range []string{"romeo@example.net", "romeo@example.net/1"} {
			if got := s.ask("romeo", "set", pubsub("<unsubscribe node='n' jid='"+jid+"' subid='x'/>")); got != "" {
				t.Error(got)
			}
		}
		s.events("romeo")
		s.publish("n", "2")
		if got := s.events("romeo"); got != "" {
			t.Errorf("got %q", got)
		}
	})
}
