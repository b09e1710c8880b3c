package bookmarks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// TestNotTrimmed: a node that was made for fewer items than there are rooms loses none of
// them when an old list is written, or moved.
func TestNotTrimmed(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for i := range 10 {
		fmt.Fprintf(&all, "<conference jid='a@%d.example'/>", i)
	}
	for _, moved := range []bool{false, true} {
		play(t, func(a *assembly) {
			c := pep.DefaultConfig()
			c.Access, c.MaxItems = "whitelist", 3
			payload := "<conference xmlns='urn:xmpp:bookmarks:1'/>"
			size := int64(len("a@0.example") + len(payload))
			apply(t, a.nodes.PutNode(juliet, pep.Node{Name: bookmarks.NS, Config: c, Seq: 1, Bytes: size}),
				a.nodes.Change(juliet, bookmarks.NS, pep.Change{Put: []pep.Item{{Entry: pep.Entry{ID: "a@0.example", Seq: 1, Publisher: juliet, Size: len(payload)}, Payload: payload}}, Seq: 1, Bytes: size}))
			if moved {
				apply(t, a.private.Set(juliet, bookmarks.Name, list(all.String())))
			}
		}, func(s *stage) {
			c := s.h.Connect(t, phone)
			if !moved {
				s.ask(c, "set", xmlPrivate(list(all.String())))
			}
			for _, payload := range []string{xmlPrivate(empty), read(bookmarks.NS)} {
				if got := len(strings.Fields(rooms(s.ask(c, "get", payload)))); got != 10 {
					t.Errorf("moved %v: %d rooms are left of 10", moved, got)
				}
			}
		})
	}
}

// TestRefusedRoom: an old list of which one room cannot be published changes nothing, in
// either form, tells nobody, and loses no rooms that could not be moved (pep BM-10a).
func TestRefusedRoom(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 900)
	play(t, func(a *assembly) {
		a.opt.MaxBytes = 700
		apply(t, a.private.Set(juliet, bookmarks.Name, list("<conference jid='a@1.example' name='"+long+"'/><conference jid='a@2.example'/><url url='u:1'/>")))
	}, func(s *stage) {
		c := s.h.Connect(t, phone)
		if got := rooms(s.ask(c, "get", xmlPrivate(empty))); got != "1 2" {
			t.Errorf("before: %s", got)
		}
		c.Send("<presence><c xmlns='x:caps'>urn:xmpp:bookmarks:1 storage:bookmarks</c></presence>")
		s.h.Settle()
		c.Clear()
		before := s.ask(c, "get", xmlPrivate(empty))
		if got := s.ask(c, "set", xmlPrivate(list("<conference jid='a@3.example'/><conference jid='a@1.example' name='"+long+"'/><conference jid='a@2.example'/><url url='u:2'/>"))); !strings.Contains(got, "resource-constraint") {
			t.Errorf("got %s", got)
		}
		if got := s.told(c); got != "" {
			t.Errorf("told %s", got)
		}
		for range 2 {
			if got := s.ask(c, "get", xmlPrivate(empty)); got != before || !strings.Contains(got, "u:1") {
				t.Errorf("left is %s", got)
			}
			s.h.Restart(s.extensions()...)
			c = s.h.Connect(t, laptop)
		}
	})
}

// TestRefusedWhole: the same, whatever is wrong with one room, by either way that old lists
// are written.
func TestRefusedWhole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 900)
	for _, c := range []struct {
		name, last, want string
		opt              func(o *pep.Options)
	}{
		{"too large", " name='" + long + "'", "payload-too-big", func(o *pep.Options) { o.MaxPayload = 800 }},
		{"too many", "", "resource-constraint", func(o *pep.Options) { o.MaxItems = 3 }},
		{"too many octets", " name='" + long + "'", "resource-constraint", func(o *pep.Options) { o.MaxNodeBytes = 800 }},
	} {
		for _, way := range []struct {
			name  string
			write func(list string) string
		}{
			{"private", xmlPrivate},
			{"node", func(list string) string { return publication(bookmarks.NSLegacy, "current", list) }},
		} {
			t.Run(c.name+" "+way.name, func(t *testing.T) {
				t.Parallel()
				play(t, func(a *assembly) { c.opt(&a.opt) }, func(s *stage) {
					j := s.h.Connect(t, phone)
					old := list("<conference jid='a@1.example'/><conference jid='a@2.example'/><url url='u:1'/>")
					if got := s.ask(j, "set", way.write(old)); strings.Contains(got, "<error") {
						t.Fatal(got)
					}
					j.Send("<presence><c xmlns='x:caps'>urn:xmpp:bookmarks:1 storage:bookmarks</c></presence>")
					s.told(j)
					before := s.ask(j, "get", read(bookmarks.NS)) + s.ask(j, "get", xmlPrivate(empty))
					s.told(j)
					with := list("<conference jid='a@2.example' name='new'/><conference jid='a@3.example'/><conference jid='a@4.example'" + c.last + "/><url url='u:2'/>")
					if got := s.ask(j, "set", way.write(with)); !strings.Contains(got, c.want) {
						t.Errorf("got %s, want %s", got, c.want)
					}
					if got := s.told(j); got != "" {
						t.Errorf("told %s", got)
					}
					if after := s.ask(j, "get", read(bookmarks.NS)) + s.ask(j, "get", xmlPrivate(empty)); after != before {
						t.Errorf("was %s, is %s", before, after)
					}
				})
			})
		}
	}
}

// TestStaleList: an old list in the node's store that could not be moved is not sent as a
// last item beside the one that is true, nor to anybody else.
func TestStaleList(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.stored(t, bookmarks.NSLegacy, "open", "current", "<x xmlns='urn:x'>stale</x>")
		apply(t, a.nodes.SetPeer(juliet, bookmarks.NSLegacy, pep.Peer{JID: mux.MustParseAddress("romeo@example.net"), Affiliation: pep.Member, Subscription: pep.Subscribed}))
		a.opt.Contacts = func(_ context.Context, e *mux.Event, yield func(mux.Address, bool, bool) bool) error {
			for _, s := range []string{"romeo@example.net", "juliet@example.net"} {
				if who := mux.MustParseAddress(s); who != e.Account {
					yield(who, true, true)
				}
			}
			return nil
		}
		a.opt.Subscription = func(context.Context, *mux.Event, mux.Address) (from, to bool) { return true, true }
	}, func(s *stage) {
		s.h.AddAccount(juliet.String())
		romeo := s.h.Connect(t, "romeo@example.net/1")
		romeo.Send("<presence><c xmlns='x:caps'>storage:bookmarks</c></presence>")
		romeo.ExpectNone()
		c := s.h.Connect(t, phone)
		c.Send("<presence><c xmlns='x:caps'>storage:bookmarks</c></presence>")
		s.h.Settle()
		if got := strings.Join(c.Arrived(), ""); strings.Contains(got, "stale") || strings.Contains(got, "0001-01-01") {
			t.Errorf("got %s", got)
		}
		romeo.ExpectNone()
	})
}

// TestSubscribedBefore: who was subscribed while the node was open to contacts, and is not
// on its whitelist, does not keep old lists from being converted, and is told nothing.
func TestSubscribedBefore(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.stored(t, bookmarks.NS, "presence", "a@1.example", "<conference xmlns='urn:xmpp:bookmarks:1'/>")
		apply(t, a.nodes.SetPeer(juliet, bookmarks.NS, pep.Peer{JID: mux.MustParseAddress("romeo@example.net"), Subscription: pep.Subscribed}),
			a.nodes.SetPeer(juliet, bookmarks.NS, pep.Peer{JID: mux.MustParseAddress("nurse@example.net/1"), Subscription: pep.Pending}),
			a.private.Set(juliet, bookmarks.Name, list("<conference jid='a@2.example'/>")))
		a.opt.Subscription = func(context.Context, *mux.Event, mux.Address) (from, to bool) { return true, true }
	}, func(s *stage) {
		romeo, nurse := s.h.Connect(t, "romeo@example.net/1"), s.h.Connect(t, "nurse@example.net/1")
		c := s.h.Connect(t, phone)
		s.ask(c, "set", xmlPrivate(list("<conference jid='a@1.example'/><conference jid='a@2.example'/><conference jid='a@3.example'/>")))
		if got := rooms(s.ask(c, "get", read(bookmarks.NS))); got != "1 2 3" {
			t.Errorf("items are %s", got)
		}
		for _, other := range []*muxtest.Client{romeo, nurse} {
			if got := strings.Join(other.Arrived(), ""); strings.Contains(got, "example'") {
				t.Errorf("somebody else was told %s", got)
			}
		}
	})
}

// TestMoveFails: what could not be written when it was moved is still where it was, and is
// moved the next time.
func TestMoveFails(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.stored(t, bookmarks.NSOld, "presence", "a@1.example", "<conference xmlns='urn:xmpp:bookmarks:0'/>")
		a.stored(t, bookmarks.NSLegacy, "presence", "x", list("<conference jid='a@2.example'/>"))
		apply(t, a.private.Set(juliet, bookmarks.Name, list("<conference jid='a@3.example'/><url url='u:1'/>")))
	}, func(s *stage) {
		for range 3 {
			c := s.h.Connect(t, phone)
			s.c.Hold()
			c.Send("<iq type='get' id='1'>" + xmlPrivate(empty) + "</iq>")
			s.h.Settle()
			s.c.Fail(errors.New("disk"))
			s.h.Settle()
			s.c.Release()
			s.h.Settle()
			if l, err := s.nodes.Index(t.Context(), juliet, bookmarks.NSOld); err != nil || len(l) != 1 {
				t.Errorf("the old node has %d items, %v", len(l), err)
			}
		}
		c := s.h.Connect(t, laptop)
		if got := s.ask(c, "get", xmlPrivate(empty)); rooms(got) != "1 2 3" || !strings.Contains(got, "u:1") {
			t.Errorf("got %s", got)
		}
	})
}

// TestTwoOldClients: clients that write what they are told, each in its own way, do not do
// so for ever.
func TestTwoOldClients(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		clients := []*muxtest.Client{s.h.Connect(t, phone), s.h.Connect(t, laptop)}
		for _, c := range clients {
			c.Send("<presence><c xmlns='x:caps'>storage:bookmarks</c></presence>")
		}
		s.ask(clients[0], "set", publication(bookmarks.NS, "a@1.example", "<conference xmlns='urn:xmpp:bookmarks:1' autojoin='1'><extensions><x xmlns='urn:x'> a <y/></x></extensions></conference>"))
		written := 0
		for round := 0; round < 20; round++ {
			told := false
			for i, c := range clients {
				got := strings.Join(append(s.kept[c], c.Arrived()...), "")
				c.Clear()
				s.kept[c] = nil
				at := strings.LastIndex(got, "<storage ")
				if at < 0 {
					continue
				}
				told = true
				written++
				l := got[at : strings.LastIndex(got, "</storage>")+len("</storage>")]
				if i == 1 { // without what it does not know, and in its own spelling
					l = list("<conference minimize='1' autojoin='true'  jid='A@1.Example'/>")
				}
				s.ask(c, "set", []string{xmlPrivate(l), publication(bookmarks.NSLegacy, "x", l)}[i])
			}
			if !told {
				break
			}
		}
		if written > 6 {
			t.Errorf("written %d times", written)
		}
		if got := s.ask(clients[0], "get", read(bookmarks.NS)); strings.Count(got, "<y/>") != 1 || strings.Count(got, "<item ") != 1 {
			t.Errorf("got %s", got)
		}
	})
}

// TestNotUnderstood: what is at old nodes and is no bookmark stays there when the rest is
// moved.
func TestNotUnderstood(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.stored(t, bookmarks.NSOld, "whitelist", "a@1.example", "<conference xmlns='urn:xmpp:bookmarks:0'/>", "a@b@c", "<conference xmlns='urn:xmpp:bookmarks:0'/>", "a@2.example", "<x xmlns='urn:x'/>")
		a.stored(t, bookmarks.NSLegacy, "whitelist", "x", list("<conference jid='a@3.example'/>"), "y", "<x xmlns='urn:x'/>")
	}, func(s *stage) {
		for range 2 {
			c := s.h.Connect(t, phone)
			if got := rooms(s.ask(c, "get", xmlPrivate(empty))); got != "1 3" {
				t.Errorf("got %s", got)
			}
			for node, want := range map[string]int{bookmarks.NSOld: 2, bookmarks.NSLegacy: 1} {
				if l, err := s.nodes.Index(t.Context(), juliet, node); err != nil || len(l) != want {
					t.Errorf("%s has %d items, %v", node, len(l), err)
				}
			}
			s.h.Restart(s.extensions()...)
		}
	})
}

// TestLongAddress: a room whose address is too long for the ID of an item stays in the old
// list, and keeps nothing else from being moved and written.
func TestLongAddress(t *testing.T) {
	t.Parallel()
	long := "<conference jid='" + strings.Repeat("a", 500) + "@9.example/" + strings.Repeat("b", 600) + "'/>"
	play(t, func(a *assembly) {
		apply(t, a.private.Set(juliet, bookmarks.Name, list(long+"<conference jid='a@1.example'/>")))
	}, func(s *stage) {
		c := s.h.Connect(t, phone)
		for _, tt := range [][2]string{{"", "1 9"}, {long + "<conference jid='a@2.example'/>", "2 9"}, {"<conference jid='a@2.example'/>", "2"}} {
			if tt[0] != "" {
				if got := s.ask(c, "set", xmlPrivate(list(tt[0]))); got != "" {
					t.Errorf("got %s", got)
				}
			}
			if got := rooms(s.ask(c, "get", xmlPrivate(empty))); got != tt[1] {
				t.Errorf("got %s, want %s", got, tt[1])
			}
		}
	})
}
