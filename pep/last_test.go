package pep_test

import (
	"context"
	"fmt"
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
	time.Sleep(c.takes)
	return c.Store.Load(ctx, account)
}

func (c *counted) Items(ctx context.Context, account mux.Address, node string, ids []string) ([]pep.Item, error) {
	c.items.Add(1)
	time.Sleep(c.takes)
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
