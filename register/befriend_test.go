package register_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
)

// heard notes what accounts say and hear about subscriptions.
type heard struct{ list []string }

func (*heard) Name() string { return "heard" }

func (h *heard) Register(r *mux.Registry) error {
	note := func(way string) func(context.Context, *mux.Event) {
		return func(_ context.Context, e *mux.Event) {
			h.list = append(h.list, way+" "+e.Stanza.From().Bare().String()+" "+e.Stanza.Type()+" "+e.Stanza.To().Bare().String())
		}
	}
	r.Observe(mux.FromAccount, mux.Presence, note("from"))
	r.Observe(mux.ToAccount, mux.Presence, note("to"))
	return nil
}

func (h *heard) want(t *testing.T, want ...string) {
	t.Helper()
	left := map[string]int{}
	for _, l := range h.list {
		left[l]++
	}
	for _, w := range want {
		if left[w]--; left[w] < 0 {
			t.Errorf("no %q in %q", w, h.list)
		}
	}
	h.list = nil
}

// TestBefriend: IV-8: guest and inviter approve and ask each other; what a crash has left
// undone the start does.
func TestBefriend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(heard)
		s := newSite(t, register.Options{Policy: register.ByInvite}, h)
		inviter := mux.MustParseAddress(romeo)
		s.AddAccount(romeo)
		token := s.invite(t, register.Invite{Kind: register.ForContact, Inviter: inviter, MayRegister: true})
		a := s.stranger(t, 1)
		if got := a.preauth(token); got != "" {
			t.Fatal(got)
		}
		if got := a.create("bill", password); got != "" {
			t.Fatal(got)
		}
		const bill = "bill@" + domain
		all := []string{"from " + romeo + " subscribed " + bill, "from " + bill + " subscribed " + romeo,
			"from " + bill + " subscribe " + romeo, "from " + romeo + " subscribe " + bill}
		h.want(t, all...)
		guests, err := s.people.Guests(t.Context(), inviter)
		if err != nil || len(guests) != 1 || guests[0].Account.String() != bill || guests[0].Befriend {
			t.Errorf("guests %+v, error %v", guests, err)
		}
		put := s.invites.Admit(register.Admission{Account: mux.MustParseAddress("ben@" + domain), Skeleton: "ben", Now: time.Now(),
			Guest: &register.Guest{Account: mux.MustParseAddress("ben@" + domain), Inviter: inviter, Befriend: true}})
		if refusal, err := put(t.Context(), nil); refusal != nil || err != nil {
			t.Fatal(refusal, err)
		}
		if err := s.people.Start(t.Context(), s.Mux()); err != nil {
			t.Fatal(err)
		}
		h.want(t, "from ben@"+domain+" subscribe "+romeo)
		time.Sleep(2 * time.Minute)
	})
}

// TestPreauthPresence: XEP-0379 §3.5, IV-13: a token of the account approves once; any
// other leaves the request what it is.
func TestPreauthPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(heard)
		s := newSite(t, register.Options{Policy: register.ByInvite}, h)
		s.AddAccount(romeo)
		token := s.invite(t, register.Invite{Kind: register.ForContact, Inviter: mux.MustParseAddress(romeo)})
		foreign := s.invite(t, register.Invite{Kind: register.ForContact, Inviter: mux.MustParseAddress("nurse@" + domain)})
		account := s.invite(t, register.Invite{Inviter: mux.MustParseAddress(romeo)})
		const juliet = "juliet@example.net"
		s.AddAccount(juliet)
		c := s.Connect(t, juliet+"/balcony")
		ask := func(token string) {
			c.Send("<presence type='subscribe' to='" + romeo + "'><preauth xmlns='urn:xmpp:pars:0' token='" + token + "'/></presence>")
			synctest.Wait()
		}
		for _, bad := range []string{"", "wrong", foreign, account} {
			ask(bad)
			if len(h.list) != 1 {
				t.Errorf("%q led to %q", bad, h.list)
			}
			h.list = nil
		}
		ask(token)
		if len(h.list) != 3 {
			t.Errorf("led to %q", h.list)
		}
		h.want(t, "from "+juliet+" subscribe "+romeo, "from "+romeo+" subscribed "+juliet, "from "+romeo+" subscribe "+juliet)
		ask(token)
		if len(h.list) != 1 {
			t.Errorf("a second time led to %q", h.list)
		}
		// It was for a contact, not for an account.
		if got := s.stranger(t, 1).preauth(foreign); got != noToken {
			t.Errorf("account: %q", got)
		}
	})
}
