package roster_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

// toy is an extension made of a function.
type toy func(r *mux.Registry)

func (toy) Name() string { return "toy" }

func (f toy) Register(r *mux.Registry) error {
	f(r)
	return nil
}

// TestRemove: RO-8, what a contact is told when it is removed, by the state it was
// in.
func TestRemove(t *testing.T) {
	t.Parallel()
	for state, want := range map[string][]string{
		"None":     nil,
		"None+A":   nil,
		"None+O":   {"unsubscribe"},
		"None+I":   {"unsubscribed"},
		"None+O+I": {"unsubscribe", "unsubscribed"},
		"To":       {"unsubscribe"},
		"To+I":     {"unsubscribe", "unsubscribed"},
		"From":     {"unavailable from balcony", "unavailable from chamber", "unsubscribed"},
		"From+O":   {"unavailable from balcony", "unavailable from chamber", "unsubscribe", "unsubscribed"},
		"Both":     {"unavailable from balcony", "unavailable from chamber", "unsubscribe", "unsubscribed"},
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, itemIn(state))
				s.balcony.Send(setItem("<item jid='romeo@example.org' subscription='remove'/>"))
				const push = "<iq type='set' to='{*}' id='{*}'><query xmlns='jabber:iq:roster' ver='{*}'><item jid='romeo@example.org' subscription='remove'/></query></iq>"
				s.balcony.Expect(push, "<iq type='result' from='juliet@example.net' to='juliet@example.net/balcony' id='s'/>")
				s.closet.Expect(push)
				for _, c := range []*muxtest.Client{s.balcony, s.chamber, s.closet} {
					c.ExpectNone()
				}
				if got := briefs(s.h.Routed("example.org")); !slices.Equal(got, want) {
					t.Errorf("romeo got %q, want %q", got, want)
				}
				if r := kept(t, s.store, juliet); len(r.Items) > 0 || len(r.Removed) != 1 {
					t.Errorf("kept %+v", r)
				}
				s.balcony.Send(setItem("<item jid='romeo@example.org' subscription='remove'/>"))
				if got := s.balcony.Next(); !strings.Contains(got, "item-not-found") {
					t.Errorf("removed twice: %s", got)
				}
			})
		})
	}
}

// TestRemovePending: who only asks is not in the roster, so cannot be removed from
// it.
func TestRemovePending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := itemIn("None+I")
		i.Listed, i.Ver = false, 0
		s := newScene(t, i)
		s.balcony.Send(setItem("<item jid='romeo@example.org' subscription='remove'/>"))
		if got := s.balcony.Next(); !strings.Contains(got, "item-not-found") {
			t.Errorf("got %s", got)
		}
		// It may be added, and still asks.
		s.balcony.Send(setItem("<item jid='romeo@example.org' name='R'/>"))
		if got := kept(t, s.store, juliet).Items[0]; got.In != request || !got.Listed || got.Name != "R" {
			t.Errorf("kept %+v", got)
		}
	})
}

// TestAccountRemoved: the contacts of an account that is removed are left, and
// nothing of it is kept (PC-7).
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		both, asks, to := itemIn("Both"), itemIn("None+I"), itemIn("To")
		asks.JID, asks.Listed, asks.Ver = mux.MustParseAddress("asks@example.org"), false, 0
		to.JID = mux.MustParseAddress("to@example.org")
		s := newScene(t, both, asks, to)
		if err := s.h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, el := range s.h.Routed("example.org") {
			p, err := mux.Parse([]byte(el))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.To().Local()+" "+brief(el))
		}
		want := []string{"asks unsubscribed", "romeo unavailable from balcony", "romeo unavailable from chamber", "romeo unsubscribe", "romeo unsubscribed", "to unsubscribe"}
		if !slices.Equal(got, want) {
			t.Errorf("routed %q, want %q", got, want)
		}
		if r := kept(t, s.store, juliet); len(r.Items) > 0 || len(r.Removed) > 0 || r.Ver > 0 {
			t.Errorf("kept %+v", r)
		}
		s.balcony.ExpectClosed("not-authorized")
	})
}

// TestMaySee: without a cached roster the answer is no, and nobody waits.
func TestMaySee(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(roster.Memory)
		apply(t, store.Put(juliet, itemIn("From")))
		x := roster.New(store, nil)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, x)
		err := h.Mux().Do(t.Context(), juliet, func(ctx context.Context, e *mux.Event) {
			full := mux.MustParseAddress("romeo@example.org/x")
			if x.MaySee(ctx, e, juliet, full) {
				t.Error("not cached, but yes")
			}
			if err := x.Load(ctx, e); err != nil || !x.Cached(e) {
				t.Error(err)
			}
			for from, want := range map[string]bool{"romeo@example.org/x": true, "romeo@example.org": true, "juliet@example.net/y": true, "nurse@example.net": false} {
				if got := x.MaySee(ctx, e, juliet, mux.MustParseAddress(from)); got != want {
					t.Errorf("%s: %t", from, got)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// counting counts the reads of a store, one of which fails.
type counting struct {
	roster.Memory
	loads int
}

func (c *counting) Load(ctx context.Context, a mux.Address) (roster.Roster, error) {
	c.loads++
	return c.Memory.Load(ctx, a)
}

// TestLoadedOnce: a roster is read once while the account is in use.
func TestLoadedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(counting)
		apply(t, store.Put(juliet, itemIn("Both")))
		h := muxtest.New(t, &mux.Options{NoRecover: true}, extensions(store, nil)...)
		c := h.Connect(t, julietFull)
		c.Send("<presence/>", getRoster(""), "<presence type='unsubscribed' to='romeo@example.org'/>")
		h.DialDomain(t, mux.Server, "example.org").Send("<presence type='probe' from='romeo@example.org' to='juliet@example.net'/>")
		c.Close()
		if store.loads != 1 {
			t.Errorf("%d reads", store.loads)
		}
	})
}

// TestCommitFails: what was not made durable did not happen; the roster is read
// again (GS-2b).
func TestCommitFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, c := new(roster.Memory), new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{NoRecover: true, Committer: c}, extensions(store, nil)...)
		balcony, chamber := h.Connect(t, julietFull), h.Connect(t, "juliet@example.net/chamber")
		balcony.Send(getRoster(""))
		balcony.Clear()
		c.Hold()
		balcony.Send(setItem("<item jid='romeo@example.org'/>"))
		balcony.ExpectNone()
		c.Fail(fmt.Errorf("on purpose"))
		balcony.ExpectClosed("internal-server-error")
		c.Release()
		chamber.Send(getRoster(""), setItem("<item jid='a@example.org'/>"))
		chamber.Expect(result("", ""), pushed(kept(t, store, juliet).Epoch+":1", "<item jid='a@example.org' subscription='none'/>"),
			"<iq type='result' from='juliet@example.net' to='{*}' id='s'/>")
	})
}

// TestAnnounced: the stream features and the disco feature.
func TestAnnounced(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, roster.New(new(roster.Memory), nil))
	var got []string
	for _, f := range h.Mux().Features() {
		if f.Needs != mux.Authenticated || f.Owns != nil {
			t.Errorf("%s: needs %v, owns %v", f.Name, f.Needs, f.Owns)
		}
		c, err := mux.NewChild(f.List(t.Context(), nil))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(c.Name))
	}
	want := []string{fmt.Sprint(xml.Name{Space: roster.NSVersioning, Local: "ver"}), fmt.Sprint(xml.Name{Space: roster.NSPreApproval, Local: "sub"})}
	if !slices.Equal(got, want) {
		t.Errorf("features %q, want %q", got, want)
	}
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{roster.NS}) {
		t.Errorf("features %q, error %v", q.Features, err)
	}
	if _, err := mux.New(nil, nil, roster.New(nil, nil)); err == nil {
		t.Error("no store, no error")
	}
}
