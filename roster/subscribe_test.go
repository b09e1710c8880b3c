package roster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

// TestRequestsAreBounded: LIM-15, one request too many is dropped silently.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	for _, o := range []*roster.Options{{MaxRequests: 2}, {MaxRequestBytes: 260}} {
		synctest.Test(t, func(t *testing.T) {
			store := new(roster.Memory)
			h := muxtest.New(t, &mux.Options{NoRecover: true}, extensions(store, o)...)
			h.AddAccount(juliet.String())
			org := h.DialDomain(t, mux.Server, "example.org")
			for _, from := range []string{"a", "b", "c", "a"} {
				org.Send("<presence type='subscribe' from='" + from + "@example.org' to='juliet@example.net' id='x'/>")
			}
			var got []string
			for _, i := range kept(t, store, juliet).Items {
				got = append(got, i.JID.Local())
			}
			if !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("kept requests of %q", got)
			}
			if r := h.Routed("example.org"); len(r) > 0 {
				t.Errorf("routed %q", r)
			}
			org.Send("<presence type='unsubscribe' from='a@example.org' to='juliet@example.net'/>", "<presence type='subscribe' from='c@example.org' to='juliet@example.net'/>")
			if items := kept(t, store, juliet).Items; len(items) != 2 || items[1].JID.Local() != "c" {
				t.Errorf("kept %+v", items)
			}
		})
	}
}

// TestGuardFirst: what a guard refuses changes nothing (XEP-0191 §3.4).
func TestGuardFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(roster.Memory)
		refuse := toy(func(r *mux.Registry) {
			r.Guard(mux.FromAccount, mux.Presence, func(context.Context, *mux.Event) (mux.Verdict, error) {
				return mux.Done, stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAcceptable}
			})
			r.Guard(mux.ToAccount, mux.Presence, func(context.Context, *mux.Event) (mux.Verdict, error) { return mux.Done, nil })
		})
		h := muxtest.New(t, &mux.Options{NoRecover: true}, append(extensions(store, nil), refuse)...)
		c := h.Connect(t, julietFull)
		c.Send("<presence type='subscribe' to='romeo@example.org' id='1'/>")
		if got := c.Next(); !strings.Contains(got, "not-acceptable") {
			t.Errorf("got %s", got)
		}
		h.DialDomain(t, mux.Server, "example.org").Send("<presence type='subscribe' from='romeo@example.org' to='juliet@example.net'/>")
		c.ExpectNone()
		if r := kept(t, store, juliet); len(r.Items) > 0 {
			t.Errorf("kept %+v", r.Items)
		}
	})
}

// TestSubscriptionChanged: others learn who sees whom, and can ask.
func TestSubscriptionChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := roster.New(new(roster.Memory), nil)
		var got []string
		listen := toy(func(r *mux.Registry) {
			mux.On(r, func(ctx context.Context, e *mux.Event, c mux.SubscriptionChanged) error {
				from, to := x.Subscription(ctx, e, c.Contact)
				got = append(got, fmt.Sprint(c.Contact, " ", c.FromWas, c.From, c.ToWas, c.To))
				if from != c.From || to != c.To || x.MaySee(ctx, e, juliet, c.Contact) != c.From {
					t.Errorf("%v, but the roster says %t %t", c, from, to)
				}
				return nil
			})
		})
		h := muxtest.New(t, &mux.Options{NoRecover: true}, x, listen)
		c, org := h.Connect(t, julietFull), h.DialDomain(t, mux.Server, "example.org")
		for _, s := range []struct {
			out  bool
			typ  string
			want string
		}{
			{true, "subscribe", ""},
			{false, "subscribed", "romeo@example.org false false false true"},
			{false, "subscribe", ""},
			{true, "subscribed", "romeo@example.org false true true true"},
			{false, "subscribe", "romeo@example.org false true true true"}, // it lost track: as if anew
			{true, "unsubscribe", "romeo@example.org true true true false"},
			{false, "unsubscribe", "romeo@example.org true false false false"},
		} {
			if s.out {
				c.Send("<presence type='" + s.typ + "' to='romeo@example.org'/>")
			} else {
				org.Send("<presence type='" + s.typ + "' from='romeo@example.org' to='juliet@example.net'/>")
			}
			if all := strings.Join(got, ", "); all != s.want {
				t.Errorf("%s: got %q, want %q", s.typ, all, s.want)
			}
			got = nil
		}
	})
}

// TestBlockedRequests: SUB-29, the requests of whoever is blocked are forgotten.
func TestBlockedRequests(t *testing.T) {
	t.Parallel()
	for _, cached := range []bool{false, true} {
		for blocked, want := range map[string]string{"romeo@example.org": "[other@example.org romeo@example.com]", "example.org": "[romeo@example.com]",
			"romeo@example.org/x": "[other@example.org romeo@example.com romeo@example.org]"} {
			synctest.Test(t, func(t *testing.T) {
				store := new(roster.Memory)
				for _, jid := range []string{"romeo@example.org", "other@example.org", "romeo@example.com"} {
					apply(t, store.Put(juliet, roster.Item{JID: mux.MustParseAddress(jid), In: request}))
				}
				x := roster.New(store, nil)
				h := muxtest.New(t, &mux.Options{NoRecover: true}, x)
				h.AddAccount(juliet.String())
				err := h.Mux().Do(t.Context(), juliet, func(ctx context.Context, e *mux.Event) {
					if cached {
						if err := x.Load(ctx, e); err != nil {
							t.Error(err)
						}
					}
					if err := mux.Emit(ctx, e, mux.BlockChanged{Contact: mux.MustParseAddress(blocked), Blocked: true}); err != nil {
						t.Error(err)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				h.Settle()
				var left []string
				for _, i := range kept(t, store, juliet).Items {
					left = append(left, i.JID.String())
				}
				if got := fmt.Sprint(left); got != want {
					t.Errorf("%s blocked: %s are left, want %s", blocked, got, want)
				}
			})
		}
	}
}

// TestListed: a contact is in the roster without a subscription too, but not if it only
// waits for an answer.
func TestListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := roster.New(new(roster.Memory), nil)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, x)
		c, org := h.Connect(t, julietFull), h.DialDomain(t, mux.Server, "example.org")
		c.Send("<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='romeo@example.org'/></query></iq>")
		org.Send("<presence type='subscribe' from='waits@example.org' to='juliet@example.net'/>")
		got := ""
		err := h.Mux().Do(t.Context(), juliet, func(ctx context.Context, e *mux.Event) {
			for _, contact := range []string{"romeo@example.org", "romeo@example.org/x", "waits@example.org", "nobody@example.org"} {
				got += fmt.Sprint(x.Listed(ctx, e, mux.MustParseAddress(contact)), " ")
			}
		})
		if err != nil || got != "true true false false " {
			t.Errorf("got %q, error %v", got, err)
		}
	})
}
