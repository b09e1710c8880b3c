package bookmarks_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// stage is juliet with an assembly.
type stage struct {
	*assembly
	t testing.TB
	h *muxtest.Host
	c *muxtest.Committer
	n int
	// kept is what came with answers.
	kept map[*muxtest.Client][]string
}

func play(t *testing.T, prepare func(a *assembly), f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newAssembly()
		if prepare != nil {
			prepare(a)
		}
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, NoRecover: true}, a.extensions()...)
		f(&stage{a, t, h, c, 0, make(map[*muxtest.Client][]string)})
	})
}

// ask sends a request and returns the content of the result, or of the error.
func (s *stage) ask(c *muxtest.Client, typ, payload string) string {
	s.t.Helper()
	s.n++
	id := fmt.Sprint("q", s.n)
	c.Send("<iq type='" + typ + "' id='" + id + "'>" + payload + "</iq>")
	var answer string
	var rest []string
	for _, el := range c.Arrived() {
		st, err := mux.Parse([]byte(el))
		if err == nil && st.ID() == id {
			answer = content(st)
		} else {
			rest = append(rest, el)
		}
	}
	c.Clear()
	s.kept[c] = append(s.kept[c], rest...)
	return answer
}

// told are the nodes and items of events, with - for a retraction.
func (s *stage) told(c *muxtest.Client) string {
	var l []string
	for _, el := range append(s.kept[c], c.Arrived()...) {
		for _, part := range strings.Split(el, "<items node=")[1:] {
			node := part[1 : strings.IndexAny(part[1:], "'\"")+1]
			for _, name := range []string{"item", "retract"} {
				if _, id, ok := strings.Cut(part, "<"+name+" id="); ok {
					sign := map[string]string{"item": "+", "retract": "-"}[name]
					l = append(l, node+sign+id[1:strings.IndexAny(id[1:], "'\"")+1])
				}
			}
		}
	}
	c.Clear()
	s.kept[c] = nil
	return strings.Join(l, " ")
}

func content(st *mux.Stanza) string {
	var b strings.Builder
	for _, k := range st.Children() {
		b.WriteString(k.Raw())
	}
	return b.String()
}

func xmlPrivate(inner string) string { return "<query xmlns='jabber:iq:private'>" + inner + "</query>" }

func list(inner string) string { return "<storage xmlns='storage:bookmarks'>" + inner + "</storage>" }

func read(node string) string {
	return "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='" + node + "'/></pubsub>"
}

func publication(node, id, payload string) string {
	return "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='" + node + "'><item id='" + id + "'>" + payload + "</item></publish></pubsub>"
}

// rooms are the rooms that are named in what was got, in order.
func rooms(s string) string {
	var l []string
	for _, part := range strings.Split(s, "@")[1:] {
		l = append(l, part[:strings.IndexAny(part, ".'")])
	}
	return strings.Join(l, " ")
}

const (
	empty  = "<storage xmlns='storage:bookmarks'/>"
	phone  = "juliet@example.net/phone"
	laptop = "juliet@example.net/laptop"
)

// stored puts an item into the store as older software had it.
func (a *assembly) stored(t testing.TB, node, access string, items ...string) {
	t.Helper()
	c := pep.DefaultConfig()
	c.Access, c.MaxItems = access, pep.Max
	n := pep.Node{Name: node, Config: c, Created: time.Now(), Creator: juliet, Seq: uint64(len(items))}
	var put []pep.Item
	for i := 0; i < len(items); i += 2 {
		put = append(put, pep.Item{Entry: pep.Entry{ID: items[i], Seq: uint64(i + 1), At: time.Now(), Publisher: juliet, Size: len(items[i+1])}, Payload: items[i+1]})
		n.Bytes += int64(len(items[i]) + len(items[i+1]))
	}
	apply(t, a.nodes.PutNode(juliet, n), a.nodes.Change(juliet, node, pep.Change{Put: put, Seq: n.Seq, Bytes: n.Bytes}))
}

// TestMigration: what older software has left is moved before anybody sees anything, once,
// and what is there already stays (BM-9).
func TestMigration(t *testing.T) {
	const conference = "<conference xmlns='urn:xmpp:bookmarks:%d' name='%s'/>"
	for _, first := range []string{"private", "node", "items", "disco", "presence"} {
		t.Run(first, func(t *testing.T) {
			play(t, func(a *assembly) {
				a.stored(t, bookmarks.NS, "whitelist", "a@1.example", fmt.Sprintf(conference, 1, "new"))
				a.stored(t, bookmarks.NSOld, "presence", "a@1.example", fmt.Sprintf(conference, 0, "old"), "a@2.example", "<conference xmlns='urn:xmpp:bookmarks:0' autojoin='1'><nick>J</nick><x xmlns='urn:x'/></conference>")
				a.stored(t, bookmarks.NSLegacy, "presence", "x", list("<conference jid='A@1.example' name='older'/><conference jid='a@3.example'/><url url='u:1'/>"))
				apply(t, a.private.Set(juliet, bookmarks.Name, list("<conference jid='a@3.example' name='oldest'/><conference jid='a@4.example'/><conference jid='@'/><url url='u:1'/><url url='u:2'/>")))
			}, func(s *stage) {
				c := s.h.Connect(t, phone)
				switch first {
				case "private", "node", "items":
					payload := map[string]string{"private": xmlPrivate(empty), "node": read(bookmarks.NSLegacy), "items": read(bookmarks.NS)}[first]
					if got := s.ask(c, "get", payload); strings.Count(got, "<conference ") != map[string]int{"private": 5, "node": 5, "items": 4}[first] {
						t.Errorf("the first that is read is %s", got)
					}
				case "disco":
					s.ask(c, "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>")
				case "presence":
					c.Send("<presence><c xmlns='x:caps'>urn:x</c></presence>")
				}
				for range 2 {
					want := "a@1.example new, a@2.example , a@3.example , a@4.example "
					var l []string
					s.do(func(ctx context.Context, e *mux.Event) {
						_ = s.events.EachItem(ctx, e, bookmarks.NS, 0, func(id string, _ time.Time, payload mux.Raw) {
							b, err := bookmarks.Parse(id, payload)
							if err != nil {
								t.Error(err)
							}
							l = append(l, id+" "+b.Name)
							if id == "a@2.example" && (!b.Autojoin || b.Nick != "J" || len(b.Extensions) != 1) {
								t.Errorf("%s is %s", id, payload)
							}
						})
					})
					if got := strings.Join(l, ", "); got != want {
						t.Errorf("items are %s, want %s", got, want)
					}
					left, err := s.private.Load(t.Context(), juliet, bookmarks.Name)
					if want := list("<conference jid=\"@\"/><url url=\"u:1\"/><url url=\"u:2\"/>"); err != nil || muxtest.Match(want, left, nil) != nil {
						t.Errorf("private XML has %s, %v", left, err)
					}
					for _, node := range []string{bookmarks.NSOld, bookmarks.NSLegacy} {
						if l, err := s.nodes.Index(t.Context(), juliet, node); err != nil || len(l) > 0 {
							t.Errorf("%s has %v, %v", node, l, err)
						}
					}
					s.h.Restart(s.extensions()...)
				}
			})
		})
	}
}

func (s *stage) do(f func(ctx context.Context, e *mux.Event)) {
	s.t.Helper()
	if err := s.h.Mux().Do(context.Background(), juliet, f); err != nil {
		s.t.Error(err)
	}
}

// TestPrivate: a node that contacts may read is made private before anything is
// converted (S-27, BM-8).
func TestPrivate(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.stored(t, bookmarks.NS, "presence", "a@1.example", "<conference xmlns='urn:xmpp:bookmarks:1'/>")
		apply(t, a.private.Set(juliet, bookmarks.Name, list("<conference jid='a@2.example'/>")))
		a.opt.Subscription = func(context.Context, *mux.Event, mux.Address) (from, to bool) { return true, true }
	}, func(s *stage) {
		romeo := s.h.Connect(t, "romeo@example.net/1")
		romeo.Send("<presence><c xmlns='x:caps'>urn:xmpp:bookmarks:1 storage:bookmarks</c></presence>")
		c := s.h.Connect(t, phone)
		c.Send("<presence><c xmlns='x:caps'>urn:xmpp:bookmarks:1</c></presence>")
		if got := rooms(s.ask(c, "get", read(bookmarks.NS))); got != "1 2" {
			t.Errorf("items are %s", got)
		}
		s.ask(c, "set", xmlPrivate(list("<conference jid='a@3.example'/>")))
		if got, want := s.told(c), "urn:xmpp:bookmarks:1+a@2.example urn:xmpp:bookmarks:1+a@3.example urn:xmpp:bookmarks:1-a@1.example urn:xmpp:bookmarks:1-a@2.example"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		romeo.ExpectNone()
		nodes, err := s.nodes.Load(t.Context(), juliet)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if n.Config.Access != "whitelist" {
				t.Errorf("%s has access model %s", n.Name, n.Config.Access)
			}
		}
	})
}

// TestShared: where somebody else has a part in the node nothing is converted, and old
// lists are kept as private XML, for the owner alone (XEP-0411 §5).
func TestShared(t *testing.T) {
	t.Parallel()
	open := map[string][]string{"access_model": {"open"}}
	for name, prepare := range map[string]func(a *assembly){
		"member": func(a *assembly) {
			apply(t, a.nodes.SetPeer(juliet, bookmarks.NS, pep.Peer{JID: mux.MustParseAddress("romeo@example.net"), Affiliation: pep.Member}))
		},
		"forced open": func(a *assembly) {
			a.opt.Force = func(node string) map[string][]string {
				if node == bookmarks.NS {
					return open
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(a *assembly) {
				a.stored(t, bookmarks.NS, "whitelist", "a@1.example", "<conference xmlns='urn:xmpp:bookmarks:1'/>")
				a.stored(t, bookmarks.NSLegacy, "whitelist", "x", list("<conference jid='a@2.example'/>"))
				apply(t, a.nodes.SetPeer(juliet, bookmarks.NSLegacy, pep.Peer{JID: mux.MustParseAddress("romeo@example.net"), Affiliation: pep.Member, Subscription: pep.Subscribed}))
				prepare(a)
			}, func(s *stage) {
				romeo := s.h.Connect(t, "romeo@example.net/1")
				c := s.h.Connect(t, phone)
				for i, payload := range []string{xmlPrivate(list("<conference jid='a@3.example'/>")), publication(bookmarks.NSLegacy, "current", list("<conference jid='a@4.example'/>"))} {
					want := []string{"1 2", "1 3"}[i]
					if got := rooms(s.ask(c, "get", read(bookmarks.NSLegacy))); got != want {
						t.Errorf("the node has %s, want %s", got, want)
					}
					if got := rooms(s.ask(c, "get", xmlPrivate(empty))); got != want {
						t.Errorf("private XML has %s, want %s", got, want)
					}
					s.ask(c, "set", payload)
				}
				if got := rooms(s.ask(c, "get", read(bookmarks.NS))); got != "1" {
					t.Errorf("items are %s", got)
				}
				if left, err := s.private.Load(t.Context(), juliet, bookmarks.Name); err != nil || rooms(left) != "4" {
					t.Errorf("private XML has %s, %v", left, err)
				}
				romeo.ExpectNone()
				romeo.Send("<iq type='get' id='1' to='juliet@example.net'>" + read(bookmarks.NSLegacy) + "</iq>")
				if got := romeo.Next(); !strings.Contains(got, "closed-node") {
					t.Errorf("romeo got %s", got)
				}
			})
		})
	}
}

// TestNotDurable: what was published and is not durable yet is in the old list, and old
// lists that are written at that time are compared with it.
func TestNotDurable(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		a, b := s.h.Connect(t, phone), s.h.Connect(t, laptop)
		s.ask(a, "get", xmlPrivate(empty))
		s.c.Hold()
		a.Send("<iq type='set' id='1'>" + publication(bookmarks.NS, "a@1.example", "<conference xmlns='urn:xmpp:bookmarks:1'><extensions><x xmlns='urn:x'/></extensions></conference>") + "</iq>")
		b.Send("<iq type='set' id='2'>" + xmlPrivate(list("<conference jid='a@1.example' name='one'/><conference jid='a@2.example'/>")) + "</iq>")
		a.Send("<iq type='set' id='3'>" + publication(bookmarks.NS, "a@2.example", "<conference xmlns='urn:xmpp:bookmarks:1' name='two'/>") + "</iq>")
		b.Send("<iq type='get' id='4'>" + xmlPrivate(empty) + "</iq>")
		a.ExpectNone()
		b.ExpectNone()
		s.c.Release()
		s.h.Settle()
		got := b.Arrived()
		want := xmlPrivate(list("<conference jid='a@1.example' name='one'><x xmlns='urn:x'/></conference><conference jid='a@2.example' name='two'/>"))
		if len(got) != 2 || muxtest.Match("<iq type='result' id='4' from='juliet@example.net' to='"+laptop+"'>"+want+"</iq>", got[1], nil) != nil {
			t.Errorf("got %s", got)
		}
	})
}

// hasty is a store in which everything becomes durable just after it was read.
type hasty struct {
	pep.Store
	c **muxtest.Committer
}

func (s hasty) Items(ctx context.Context, account mux.Address, node string, ids []string) ([]pep.Item, error) {
	l, err := s.Store.Items(ctx, account, node, ids)
	if *s.c != nil {
		(*s.c).Commit()
		<-time.After(time.Millisecond) // until whoever is told of it has been told
	}
	return l, err
}

// TestDurableMeanwhile: what becomes durable while the old list is put together is in
// it.
func TestDurableMeanwhile(t *testing.T) {
	t.Parallel()
	var c *muxtest.Committer
	play(t, func(a *assembly) { a.nodes = hasty{a.nodes, &c} }, func(s *stage) {
		c = s.c
		a, b := s.h.Connect(t, phone), s.h.Connect(t, laptop)
		s.ask(a, "get", xmlPrivate(empty))
		s.c.Hold()
		for i := range 3 {
			a.Send(fmt.Sprintf("<iq type='set' id='%d'>%s</iq>", i, publication(bookmarks.NS, fmt.Sprintf("a@%d.example", i), "<conference xmlns='urn:xmpp:bookmarks:1'/>")))
		}
		b.Send("<iq type='get' id='4'>" + xmlPrivate(empty) + "</iq>")
		<-time.After(time.Second)
		s.c.Release()
		s.h.Settle()
		if got := rooms(strings.Join(b.Arrived(), "")); !strings.HasSuffix(got, " 0 1 2") {
			t.Errorf("got %s", got)
		}
	})
}

// TestCommitFails: an old list that could not be written has not been.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		c := s.h.Connect(t, phone)
		s.ask(c, "set", xmlPrivate(list("<conference jid='a@1.example'/>")))
		s.c.Fail(fmt.Errorf("disk"))
		c.Send("<iq type='set' id='1'>" + xmlPrivate(list("<conference jid='a@2.example'/>")) + "</iq>")
		s.c.Release()
		s.h.Settle()
		c = s.h.Connect(t, phone)
		if got := rooms(s.ask(c, "get", xmlPrivate(empty))); got != "1" {
			t.Errorf("private XML has %s", got)
		}
		if got := rooms(s.ask(c, "get", read(bookmarks.NS))); got != "1" {
			t.Errorf("items are %s", got)
		}
	})
}

// TestTogether: two sessions write at the same time, one by items and one whole lists;
// nothing of the items is lost that the lists had.
func TestTogether(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		a, b := s.h.Connect(t, phone), s.h.Connect(t, laptop)
		all := ""
		for i := range 20 {
			all += fmt.Sprintf("<conference jid='a@%d.example'/>", i)
		}
		s.ask(b, "set", xmlPrivate(list(all)))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 20 {
				a.Write(fmt.Sprintf("<iq type='set' id='a%d'>%s</iq>", i, publication(bookmarks.NS, fmt.Sprintf("a@%d.example", i), "<conference xmlns='urn:xmpp:bookmarks:1'><extensions><x xmlns='urn:x'/></extensions></conference>")))
			}
		}()
		for i := range 20 {
			b.Write(fmt.Sprintf("<iq type='set' id='b%d'>%s</iq>", i, xmlPrivate(list(strings.Replace(all, "<conference jid='a@0.example'/>", fmt.Sprintf("<conference jid='a@0.example' name='%d'/>", i), 1)))))
		}
		<-done
		s.h.Settle()
		got := s.ask(b, "get", read(bookmarks.NS))
		if n := strings.Count(got, "<extensions>"); n != 20 {
			t.Errorf("%d of 20 bookmarks have extensions: %s", n, got)
		}
	})
}

// TestBounds: with more than that, old lists are neither read nor written, and items are
// as ever; a list with too many rooms is refused.
func TestBounds(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) { a.marks = bookmarks.Options{MaxBytes: 200, MaxRooms: 2} }, func(s *stage) {
		c := s.h.Connect(t, phone)
		c.Send("<presence><c xmlns='x:caps'>urn:xmpp:bookmarks:1 storage:bookmarks</c></presence>")
		constrained := func(payload, typ string) {
			t.Helper()
			if got := s.ask(c, typ, payload); !strings.Contains(got, "resource-constraint") {
				t.Errorf("got %s", got)
			}
		}
		constrained(xmlPrivate(list("<conference jid='a@1.example'/><conference jid='a@2.example'/><conference jid='a@3.example'/>")), "set")
		s.ask(c, "set", xmlPrivate(list("<conference jid='a@1.example'/><conference jid='a@2.example'/>")))
		if got, want := s.told(c), "urn:xmpp:bookmarks:1+a@1.example urn:xmpp:bookmarks:1+a@2.example storage:bookmarks+current"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		s.ask(c, "set", publication(bookmarks.NS, "a@3.example", "<conference xmlns='urn:xmpp:bookmarks:1' name='"+strings.Repeat("x", 200)+"'/>"))
		if got, want := s.told(c), "urn:xmpp:bookmarks:1+a@3.example"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		constrained(xmlPrivate(empty), "get")
		constrained(read(bookmarks.NSLegacy), "get")
		constrained(xmlPrivate(list("")), "set")
		constrained(publication(bookmarks.NSLegacy, "current", list("")), "set")
		if got := rooms(s.ask(c, "get", read(bookmarks.NS))); got != "1 2 3" {
			t.Errorf("items are %s", got)
		}
	})
}

// TestDisco: an account says that bookmarks are the same everywhere (BM-4).
func TestDisco(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		c := s.h.Connect(t, phone)
		got := s.ask(c, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
		for _, f := range []string{"urn:xmpp:bookmarks:1#compat", "urn:xmpp:bookmarks:1#compat-pep", "urn:xmpp:bookmarks-conversion:0"} {
			if !strings.Contains(got, "'"+f+"'") && !strings.Contains(got, "\""+f+"\"") {
				t.Errorf("%s is not in %s", f, got)
			}
		}
	})
}

// TestItemsThatAreNone: what is published at the node and is no bookmark is not shown in
// old lists, which do not take it away.
func TestItemsThatAreNone(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		c := s.h.Connect(t, phone)
		for id, payload := range map[string]string{"a@1.example": "<x xmlns='urn:x'/>", "a@b@c": "<conference xmlns='urn:xmpp:bookmarks:1'/>"} {
			s.ask(c, "set", publication(bookmarks.NS, id, payload))
		}
		s.ask(c, "set", publication(bookmarks.NSLegacy, "current", list("<conference jid='a@2.example'/>")))
		if got := rooms(s.ask(c, "get", read(bookmarks.NSLegacy))); got != "2" {
			t.Errorf("the node has %s", got)
		}
		s.ask(c, "set", xmlPrivate(list("")))
		l, err := s.nodes.Index(t.Context(), juliet, bookmarks.NS)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range l {
			ids = append(ids, e.ID)
		}
		slices.Sort(ids)
		if want := []string{"a@1.example", "a@b@c"}; !slices.Equal(ids, want) {
			t.Errorf("items are %s, want %s", ids, want)
		}
	})
}
