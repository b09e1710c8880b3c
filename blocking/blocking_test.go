package blocking_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

const getList = "<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>"

// setOf is a set with items.
func setOf(name string, items ...string) string {
	b := "<iq type='set' id='s'><" + name + " xmlns='urn:xmpp:blocking'>"
	for _, i := range items {
		b += "<item jid='" + i + "'/>"
	}
	return b + "</" + name + "></iq>"
}

// pushOf is what a set is pushed as.
func pushOf(to, name string, items ...string) string {
	return strings.Replace(setOf(name, items...), " id='s'", " to='"+to+"' id='{*}'", 1)
}

const done = "<iq type='result' from='juliet@example.net' to='" + julietFull + "' id='s'/>"

// TestAccountRemoved: with an account its list goes.
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := blocks(t, "romeo@example.org")
		apply(t, store.Add(addr("nurse@example.net"), []mux.Address{addr("example.org")}))
		h := muxtest.New(t, &mux.Options{NoRecover: true}, im(store, nil, contacts(t))...)
		h.Connect(t, julietFull).Send("<presence/>")
		h.RemoveAccount("juliet@example.net")
		if err := h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Fatal(err)
		}
		if got := kept(t, store); got != "[]" {
			t.Errorf("kept %s", got)
		}
		if list, err := store.Load(t.Context(), addr("nurse@example.net")); err != nil || len(list) != 1 {
			t.Errorf("the list of another: %v, error %v", list, err)
		}
		// Who makes the account anew begins without one.
		h.AddAccount("juliet@example.net")
		j := h.Connect(t, julietFull)
		h.DialDomain(t, mux.Server, "example.org").Send("<message from='" + romeoFull + "' to='" + julietFull + "'/>")
		j.Expect("<message from='" + romeoFull + "' to='" + julietFull + "'/>")
	})
}

// TestBounds: LIM-21, also in octets; a list that has grown under other limits
// can be made smaller.
func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := blocks(t, "1.org", "2.org", "3.org", "4.org")
		h := muxtest.New(t, &mux.Options{NoRecover: true}, blocking.New(store, &blocking.Options{MaxBytes: 17}))
		j := h.Connect(t, julietFull)
		full := func(s string) {
			t.Helper()
			j.Send(s)
			if got := j.Next(); !strings.Contains(got, "<resource-constraint ") {
				t.Errorf("got %s", got)
			}
		}
		full(setOf("block", "5.org"))
		j.Send(setOf("block", "4.org"), setOf("unblock", "1.org"))
		j.Expect(done, done)
		full(setOf("block", "5.org"))
		j.Send(setOf("unblock", "2.org"), setOf("block", "50.org"))
		j.Expect(done, done)
		full(setOf("block", "6.org"))
		if got := kept(t, store); got != "[3.org 4.org 50.org]" {
			t.Errorf("kept %s", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		store := new(blocking.Memory)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, blocking.New(store, nil))
		j := h.Connect(t, julietFull)
		var all []string
		for i := range 5001 {
			all = append(all, fmt.Sprintf("spam%d@example.org", i))
		}
		j.Send(setOf("block", all...))
		if got := j.Next(); !strings.Contains(got, "<resource-constraint ") {
			t.Errorf("got %.200s", got)
		}
		if got := kept(t, store); got != "[]" {
			t.Errorf("kept %.200s", got)
		}
		j.Send(setOf("block", all[1:]...))
		j.Expect(done)
		j.Send(getList)
		if got := strings.Count(j.Next(), "<item "); got != 5000 {
			t.Errorf("%d items in the list", got)
		}
	})
}

// TestBlockFirst: COMB-1, COMB-2: those that store and copy see nothing of what is
// refused, in whichever phase they take part.
func TestBlockFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		archive := toy{"archive", func(r *mux.Registry) {
			for _, p := range []mux.Point{mux.FromAccount, mux.ToAccount} {
				see := func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
					seen = append(seen, fmt.Sprint(p, " ", e.Stanza.ID()))
					return mux.Pass, nil
				}
				r.Guard(p, mux.AnyStanza, see, mux.Unknown())
				r.Modify(p, mux.AnyStanza, see, mux.Unknown())
				r.Observe(p, mux.AnyStanza, func(ctx context.Context, e *mux.Event) { _, _ = see(ctx, e) })
			}
			r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				seen = append(seen, "undelivered "+e.Stanza.ID())
				return mux.Done, nil
			})
		}}
		h := muxtest.New(t, &mux.Options{NoRecover: true}, blocking.New(blocks(t, "example.org"), nil), archive)
		j := h.Connect(t, julietFull)
		org := h.DialDomain(t, mux.Server, "example.org")
		for _, c := range matrix {
			org.Send(c.stanza(romeoFull, "juliet@example.net"))
			j.Send(c.stanza(julietFull, romeoFull))
		}
		if len(seen) > 0 {
			t.Errorf("others saw %q", seen)
		}
	})
}

// TestServerMade: what the server sends for an account does not leave either, and
// nobody gets an error for it: copies, broadcasts and probes.
func TestServerMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, blocking.New(blocks(t, "romeo@example.org"), nil))
		j := h.Connect(t, julietFull)
		j.Send("<presence/>")
		j.Clear()
		for _, it := range []mux.Item{
			{Stanza: mux.Make(mux.Head{Kind: mux.Message, From: juliet, To: addr(romeoFull)}), Flags: mux.Service},
			{Stanza: mux.Make(mux.Head{Kind: mux.Message, From: addr(julietFull), To: addr(romeoFull)}), Flags: mux.Copy},
			{Stanza: mux.Make(mux.Head{Kind: mux.Presence, From: addr(julietFull)}), To: addr(romeoFull), Flags: mux.Service},
			{Stanza: mux.Make(mux.Head{Kind: mux.Presence, Type: "probe", From: addr(julietFull)}), To: addr("romeo@example.org")},
			{Stanza: mux.Make(mux.Head{Kind: mux.IQ, Type: "set", ID: "1", From: juliet, To: addr(romeoFull)}), Flags: mux.Service},
		} {
			if err := h.Mux().Do(t.Context(), juliet, func(ctx context.Context, e *mux.Event) { e.SendItem(ctx, it) }); err != nil {
				t.Fatal(err)
			}
		}
		h.Settle()
		j.ExpectNone()
		if got := h.Routed("example.org"); len(got) > 0 {
			t.Errorf("%q has left", got)
		}
	})
}

// TestChanged: other extensions are told once of each address that is blocked now or
// is no longer, last words before and the rest after; and they can ask.
func TestChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := blocking.New(new(blocking.Memory), nil)
		var got []string
		listen := toy{"listen", func(r *mux.Registry) {
			mux.On(r, func(ctx context.Context, e *mux.Event, c mux.BlockChanged) error {
				got = append(got, fmt.Sprint(c.Contact, " ", c.Blocked))
				if !x.Cached(e) {
					t.Error("the list is not there")
				}
				if b, err := x.Blocked(ctx, e, c.Contact); err != nil || b {
					t.Errorf("%v: blocked %t, error %v", c, b, err)
				}
				return errBroken // is logged
			})
		}}
		h := muxtest.New(t, &mux.Options{NoRecover: true}, x, listen)
		j := h.Connect(t, julietFull)
		for _, s := range []struct {
			set  string
			want []string
		}{
			{setOf("block", "a@a.org/x", "b@b.org"), []string{"a@a.org/x true", "b@b.org true"}},
			{setOf("block", "b@b.org", "a@a.org/x"), nil},
			{setOf("block", "b@b.org/y"), nil},
			{setOf("block", "c@c.org", "c.org", "c.org/z"), []string{"c.org true"}},
			{setOf("block", "juliet@example.net", "juliet@example.net/x"), nil},
			{setOf("unblock", "c.org/z", "d.org"), nil},
			{setOf("unblock", "b@b.org"), []string{"b@b.org false"}},
			{setOf("unblock"), []string{"a@a.org/x false", "b@b.org/y false", "c.org false"}},
			{setOf("unblock"), nil},
		} {
			got = nil
			j.Send(s.set)
			j.Expect(done)
			if fmt.Sprint(got) != fmt.Sprint(s.want) {
				t.Errorf("%s: told %q, want %q", s.set, got, s.want)
			}
		}
	})
}

// TestBlocked: the answer for others.
func TestBlocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := blocking.New(blocks(t, "example.net", "romeo@example.org", "juliet@example.net"), nil)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, x)
		for contact, want := range map[string]bool{
			"romeo@example.org": true, romeoFull: true, "nurse@example.net": true, "example.org": false,
			"example.net": false, "juliet@example.net": false, julietFull: false,
		} {
			if err := h.Mux().Do(t.Context(), juliet, func(ctx context.Context, e *mux.Event) {
				if b, err := x.Blocked(ctx, e, addr(contact)); err != nil || b != want {
					t.Errorf("%s: %t, error %v", contact, b, err)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestOneWork: SUB-29, what waits of somebody who is blocked goes together with the
// block, also when contacts were not needed before.
func TestOneWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, store, rosters := new(muxtest.Committer), new(blocking.Memory), new(roster.Memory)
		apply(t, rosters.Put(juliet, roster.Item{JID: addr("romeo@example.org"), In: "<presence xmlns='jabber:client' type='subscribe' from='romeo@example.org' to='juliet@example.net'/>"}))
		h := muxtest.New(t, &mux.Options{NoRecover: true, Committer: c}, im(store, nil, rosters)...)
		j := h.Connect(t, julietFull)
		before := c.Batches()
		j.Send(setOf("block", "romeo@example.org"))
		j.Expect(done)
		r, err := rosters.Load(t.Context(), juliet)
		if n := c.Batches() - before; err != nil || len(r.Items) > 0 || n != 1 || kept(t, store) != "[romeo@example.org]" {
			t.Errorf("%d batches, error %v, kept %+v and %s", n, err, r.Items, kept(t, store))
		}
		j.Send("<presence/>")
		j.Expect("<presence from='" + julietFull + "' to='" + julietFull + "'/>")
		j.ExpectNone()
	})
}

// TestFeature: DI-1.
func TestFeature(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, blocking.New(new(blocking.Memory), nil))
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{blocking.NS}) {
		t.Errorf("features %q, error %v", q.Features, err)
	}
}

func TestNoStore(t *testing.T) {
	t.Parallel()
	if _, err := mux.New(muxtest.NewHost(t), nil, blocking.New(nil, nil)); err == nil {
		t.Error("no error")
	}
}
