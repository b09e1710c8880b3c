package pep_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// counted counts the calls of a store.
type counted struct {
	pep.Store
	heads, loads, items atomic.Int64
	during              func()        // runs in Heads, after it has read
	takes               time.Duration // each Load and Items
}

func (c *counted) wait() {
	if c.takes > 0 {
		<-time.After(c.takes) // of the bubble
	}
}

func (c *counted) reset() {
	c.heads.Store(0)
	c.loads.Store(0)
	c.items.Store(0)
}

func (c *counted) Heads(ctx context.Context, contact mux.Address, owners []mux.Address, nodes []string) ([]pep.Head, error) {
	c.heads.Add(1)
	l, err := c.Store.Heads(ctx, contact, owners, nodes)
	if c.during != nil {
		c.during()
	}
	return l, err
}

func (c *counted) Load(ctx context.Context, account mux.Address) ([]pep.Node, error) {
	c.loads.Add(1)
	c.wait()
	return c.Store.Load(ctx, account)
}

func (c *counted) Items(ctx context.Context, account mux.Address, node string, ids []string) ([]pep.Item, error) {
	c.items.Add(1)
	c.wait()
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
		if h, l, i := c.heads.Load(), c.loads.Load(), c.items.Load(); h != 1 || l != 1 || i != 0 {
			t.Errorf("%d reads of heads, %d of nodes, %d of items, want 1, 1 (the own) and 0", h, l, i)
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
		superseded(t, c.payload, c.want)
		superseded(t, c.payload, c.want, "access_model=roster", "roster_groups_allowed=Lovers")
	}
}

func superseded(t *testing.T, payload, want string, options ...string) {
	t.Helper()
	store := &counted{}
	play(t, func(a *assembly) { store.Store, a.store = a.store, store }, func(s *stage) {
		s.publish("n", "1", options...)
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
		j.Send(payload)
		close(go_)
		synctest.Wait()
		if got := s.events("romeo"); got != want {
			t.Errorf("%s, %q: romeo got %q, want %q", payload, options, got, want)
		}
	})
}

// stopper stops a turn once, at a place.
type stopper struct {
	armed         atomic.Bool
	reached, goOn chan struct{}
}

func (s *stopper) arm() {
	s.reached, s.goOn = make(chan struct{}), make(chan struct{}) // of the bubble
	s.armed.Store(true)
}

func (s *stopper) here() {
	if s.armed.CompareAndSwap(true, false) {
		close(s.reached)
		<-s.goOn
	}
}

// TestMeanwhile: who comes while a change is under way, after those to be told of it were
// chosen, gets what is true when it is written (NTF-7, DEL-5).
func TestMeanwhile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ payload, want string }{
		{iq(publication("n", "2")), "~n:2"},
		{iq(publication("new", "2")), "~n:1 ~new:2"},
		{iq(pubsub("<retract node='n'><item id='1'/></retract>")), "n-1"}, // of which it is told
		{iq(owner("<purge node='n'/>")), "purge:n"},
		{iq(owner("<delete node='n'/>")), ""},
	} {
		var stop stopper
		play(t, func(a *assembly) {
			a.opt.Changed = func(context.Context, *mux.Event, string, *pep.Item, []string, bool) { stop.here() }
		}, func(s *stage) {
			s.publish("n", "1")
			r := s.who("romeo")
			stop.arm()
			s.who("juliet").Write(c.payload)
			<-stop.reached
			r.Write("<presence><c xmlns='x:caps'>n new</c></presence>")
			synctest.Wait()
			close(stop.goOn)
			s.h.Settle()
			got := strings.Fields(s.events("romeo"))
			slices.Sort(got)
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: romeo got %q, want %q", c.payload, got, c.want)
			}
		})
	}
}

// blockWatch is an extension that runs f when somebody is blocked, behind all others.
type blockWatch struct{ f func() }

func (blockWatch) Name() string { return "blockwatch" }

func (w blockWatch) Register(r *mux.Registry) error {
	mux.On(r, func(context.Context, *mux.Event, mux.BlockChanged) error {
		w.f()
		return nil
	})
	return nil
}

// TestBlockedMeanwhile: who comes while it is being blocked gets nothing (NTF-13).
func TestBlockedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reached, goOn := make(chan struct{}), make(chan struct{})
		w := blockWatch{func() {
			close(reached)
			<-goOn
		}}
		h := muxtest.New(t, &mux.Options{NoRecover: true}, append(newAssembly(t).extensions(), w)...)
		j, r := h.Connect(t, "juliet@example.net/1"), h.Connect(t, "romeo@example.net/1")
		j.Send(iq(publication("n", "1")))
		j.Write("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@example.net'/></block></iq>")
		<-reached
		r.Write("<presence><c xmlns='x:caps'>n</c></presence>")
		synctest.Wait()
		close(goOn)
		h.Settle()
		if got := strings.Join(r.Arrived(), ""); strings.Contains(got, "<event ") {
			t.Errorf("romeo got %s", got)
		}
	})
}

// TestComesWhileChosen: who comes while those to be told are chosen, and is one of them, gets
// the event alone (NTF-5).
func TestComesWhileChosen(t *testing.T) {
	t.Parallel()
	var stop stopper
	play(t, func(a *assembly) {
		a.opt.Blocked = func(_ context.Context, e *mux.Event, contact mux.Address) (bool, error) {
			if e.Account.Local() == "juliet" && contact == addr("romeo@example.net") {
				stop.here()
			}
			return false, nil
		}
	}, func(s *stage) {
		s.publish("n", "1")
		s.there("romeo/2", "n")
		r := s.who("romeo")
		s.events("romeo/2")
		stop.arm()
		s.who("juliet").Write(iq(publication("n", "2")))
		<-stop.reached
		r.Write("<presence><c xmlns='x:caps'>n</c></presence>")
		synctest.Wait()
		close(stop.goOn)
		s.h.Settle()
		if got, other := s.events("romeo"), s.events("romeo/2"); got != ">n:2" || other != ">n:2" {
			t.Errorf("romeo got %q, his other session %q", got, other)
		}
	})
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
