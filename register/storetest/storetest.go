// Package storetest checks implementations of the store that package register
// declares. It is for the tests of such implementations.
package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
)

// Store is what is tested.
type Store struct {
	register.Store
	// Create makes an account in the transaction in which what is also to be done is
	// done, and returns a refusal of that.
	Create func(ctx context.Context, account mux.Address, also ...register.Also) error
	// Apply makes writes, in one transaction, and waits until reads must see them;
	// nil calls them one by one with a nil transaction.
	Apply func(t *testing.T, writes ...mux.Write)
}

// Test runs all checks. Each opens a store of its own, which must be empty and
// is cleaned up by what open registers with t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s Store)
	}{
		{"invitations", testInvites},
		{"invitations are forgotten", testForgotten},
		{"use", testUse},
		{"use is conditional", testRace},
		{"redeem", testRedeem},
		{"reserved name", testReserved},
		{"look-alike", testSkeleton},
		{"removed name", testTombstone},
		{"refusal changes nothing", testRefusal},
		{"queue", testQueue},
		{"guests", testGuests},
		{"remove account", testRemove},
		{"context ended", testContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var (
	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.net")
	nurse  = mux.MustParseAddress("nurse@example.net")
	start  = time.UnixMicro(1_700_000_000_123_456)
)

func (s Store) apply(t *testing.T, writes ...mux.Write) {
	t.Helper()
	if s.Apply != nil {
		s.Apply(t, writes...)
		return
	}
	for _, w := range writes {
		if err := w(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// invite is one with every field set.
func invite(token string) register.Invite {
	return register.Invite{
		ID: register.IDOf(token), Kind: register.ForAccount, Domain: "example.net", Inviter: romeo, MayRegister: true, Befriend: true,
		Uses: 2, Created: start, Expires: start.Add(time.Hour), Note: "for the <feast> & 🐝",
	}
}

func (s Store) admit(t *testing.T, a register.Admission, want error) {
	t.Helper()
	if a.Skeleton == "" {
		a.Skeleton = register.Skeleton(a.Account.Local())
	}
	if a.Now.IsZero() {
		a.Now = start
	}
	if err := s.Create(t.Context(), a.Account, s.Store.Admit(a)); !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("admit %s: %v, want %v", a.Account, err, want)
	}
}

func (s Store) wantUses(t *testing.T, token string, want int) {
	t.Helper()
	switch i, err := s.Invite(t.Context(), register.IDOf(token)); {
	case want == 0 && !errors.Is(err, register.ErrNoInvite):
		t.Errorf("invitation %+v, error %v, want none", i, err)
	case want > 0 && (err != nil || i.Uses != want):
		t.Errorf("%d uses, error %v, want %d", i.Uses, err, want)
	}
}

func same(a, b register.Invite) bool {
	ok := a.Created.Equal(b.Created) && a.Expires.Equal(b.Expires)
	a.Created, a.Expires, b.Created, b.Expires = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return ok && a == b
}

func testInvites(t *testing.T, s Store) {
	a, b := invite("a"), invite("b")
	b.Created, b.Inviter, b.Kind, b.Name = start.Add(time.Second), mux.Address{}, register.ForReset, "juliet"
	s.apply(t, s.AddInvite(b), s.AddInvite(a))
	for token, want := range map[string]register.Invite{"a": a, "b": b} {
		if got, err := s.Invite(t.Context(), register.IDOf(token)); err != nil || !same(got, want) {
			t.Errorf("got %+v, error %v, want %+v", got, err, want)
		}
	}
	if _, err := s.Invite(t.Context(), register.IDOf("c")); !errors.Is(err, register.ErrNoInvite) {
		t.Errorf("unknown: %v", err)
	}
	all, err := s.Invites(t.Context(), mux.Address{})
	if err != nil || len(all) != 2 || !same(all[0], a) || !same(all[1], b) {
		t.Errorf("all: %+v, error %v", all, err)
	}
	if mine, err := s.Invites(t.Context(), romeo); err != nil || len(mine) != 1 || !same(mine[0], a) {
		t.Errorf("of romeo: %+v, error %v", mine, err)
	}
	s.apply(t, s.RemoveInvite(a.ID), s.RemoveInvite(register.IDOf("c")))
	s.wantUses(t, "a", 0)
	s.wantUses(t, "b", 2)
}

func testForgotten(t *testing.T, s Store) {
	old, young := invite("old"), invite("young")
	late := invite("late")
	late.Created = old.Expires.Add(25 * time.Hour)
	young.Expires = late.Created.Add(-23 * time.Hour)
	s.apply(t, s.AddInvite(old), s.AddInvite(young))
	s.apply(t, s.AddInvite(late))
	s.wantUses(t, "old", 0)
	s.wantUses(t, "young", 2)
}

func testUse(t *testing.T, s Store) {
	i := invite("a")
	s.apply(t, s.AddInvite(i))
	s.admit(t, register.Admission{Account: juliet, Invite: i.ID, Now: i.Expires.Add(time.Minute)}, nil) // XEP-0445 §4
	s.wantUses(t, "a", 1)
	if err := s.Create(t.Context(), nurse, s.Use(i.ID)); err != nil {
		t.Error(err)
	}
	s.wantUses(t, "a", 0)
	s.admit(t, register.Admission{Account: romeo, Invite: i.ID}, register.ErrInviteGone)
	if err := s.Create(t.Context(), romeo, s.Use(i.ID)); !errors.Is(err, register.ErrInviteGone) {
		t.Errorf("used up: %v", err)
	}
}

func testRace(t *testing.T, s Store) {
	i := invite("a")
	i.Uses = 1
	s.apply(t, s.AddInvite(i))
	const n = 8
	errs := make(chan error, n)
	for k := range n {
		a := mux.MustParseAddress(string(rune('b'+2*k)) + "ob@example.net")
		go func() {
			errs <- s.Create(context.WithoutCancel(t.Context()), a, s.Store.Admit(register.Admission{Account: a, Skeleton: register.Skeleton(a.Local()), Invite: i.ID, Now: start}))
		}()
	}
	made := 0
	for range n {
		switch err := <-errs; {
		case err == nil:
			made++
		case !errors.Is(err, register.ErrInviteGone):
			t.Errorf("error %v", err)
		}
	}
	if made != 1 {
		t.Errorf("%d accounts with one use", made)
	}
}

func testRedeem(t *testing.T, s Store) {
	i := invite("a")
	s.apply(t, s.AddInvite(i))
	if err := s.Redeem(t.Context(), i.ID, i.Expires); !errors.Is(err, register.ErrInviteGone) {
		t.Errorf("expired: %v", err)
	}
	for range 2 {
		if err := s.Redeem(t.Context(), i.ID, start); err != nil {
			t.Error(err)
		}
	}
	if err := s.Redeem(t.Context(), i.ID, start); !errors.Is(err, register.ErrInviteGone) {
		t.Errorf("used up: %v", err)
	}
}

func testReserved(t *testing.T, s Store) {
	i := invite("a")
	i.Name, i.Uses = juliet.Local(), 1
	other := invite("b")
	s.apply(t, s.AddInvite(i), s.AddInvite(other))
	s.admit(t, register.Admission{Account: juliet}, register.ErrTaken)
	s.admit(t, register.Admission{Account: juliet, Invite: other.ID}, register.ErrTaken)
	s.wantUses(t, "b", 2)
	s.admit(t, register.Admission{Account: mux.MustParseAddress("juliet@example.org")}, nil)
	s.admit(t, register.Admission{Account: juliet, Invite: i.ID}, nil)
	s.wantUses(t, "a", 0)
	late := invite("c")
	late.Name = nurse.Local()
	s.apply(t, s.AddInvite(late))
	s.admit(t, register.Admission{Account: nurse, Now: late.Expires.Add(time.Second)}, nil)
}

func testSkeleton(t *testing.T, s Store) {
	s.admit(t, register.Admission{Account: mux.MustParseAddress("alice@example.net")}, nil)
	cyrillic := mux.MustParseAddress("\u0430lice@example.net")
	s.admit(t, register.Admission{Account: cyrillic}, register.ErrTaken)
	s.admit(t, register.Admission{Account: mux.MustParseAddress("\u0430lice@example.org")}, nil)
}

func testTombstone(t *testing.T, s Store) {
	s.apply(t, s.RemoveAccount(juliet, start), s.RemoveAccount(nurse, time.Time{}))
	s.admit(t, register.Admission{Account: juliet, Now: start.Add(1000 * time.Hour)}, register.ErrTaken)
	s.admit(t, register.Admission{Account: juliet, Now: start.Add(time.Hour), Tombstone: 2 * time.Hour}, register.ErrTaken)
	s.admit(t, register.Admission{Account: nurse}, nil)
	s.admit(t, register.Admission{Account: juliet, Now: start.Add(3 * time.Hour), Tombstone: 2 * time.Hour}, nil)
	s.apply(t, s.RemoveAccount(romeo, start))
	s.admit(t, register.Admission{Account: romeo, Tombstone: -1}, nil)
}

func testRefusal(t *testing.T, s Store) {
	i := invite("a")
	s.apply(t, s.AddInvite(i))
	s.admit(t, register.Admission{Account: juliet, Invite: i.ID, MaxWaiting: 0, Application: &register.Application{Account: juliet, At: start},
		Guest: &register.Guest{Account: juliet, Inviter: romeo, At: start}}, register.ErrQueueFull)
	s.wantUses(t, "a", 2)
	if g, err := s.Guests(t.Context(), mux.Address{}); err != nil || len(g) > 0 {
		t.Errorf("guests %v, error %v", g, err)
	}
	s.admit(t, register.Admission{Account: juliet}, nil) // the name was not noted either
}

func testQueue(t *testing.T, s Store) {
	a := register.Application{Account: juliet, Reason: "I like\n<bees> & 🐝", Source: "192.0.2.1", At: start.Add(time.Second)}
	b := register.Application{Account: nurse, Source: "invalid IP", At: start}
	s.admit(t, register.Admission{Account: juliet, Application: &a, MaxWaiting: 2}, nil)
	s.admit(t, register.Admission{Account: nurse, Application: &b, MaxWaiting: 2}, nil)
	s.admit(t, register.Admission{Account: romeo, Application: &register.Application{Account: romeo}, MaxWaiting: 2}, register.ErrQueueFull)
	equal := func(x, y register.Application) bool {
		ok := x.At.Equal(y.At)
		x.At, y.At = start, start
		return ok && x == y
	}
	if got, err := s.Applications(t.Context()); err != nil || !slices.EqualFunc(got, []register.Application{b, a}, equal) {
		t.Errorf("got %+v, error %v", got, err)
	}
	s.apply(t, s.Decided(nurse))
	if got, err := s.Applications(t.Context()); err != nil || !slices.EqualFunc(got, []register.Application{a}, equal) {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func testGuests(t *testing.T, s Store) {
	a := register.Guest{Account: juliet, Inviter: romeo, At: start.Add(time.Second), Befriend: true}
	b := register.Guest{Account: nurse, Inviter: juliet, At: start}
	s.admit(t, register.Admission{Account: juliet, Guest: &a}, nil)
	s.admit(t, register.Admission{Account: nurse, Guest: &b}, nil)
	want := func(inviter mux.Address, list ...register.Guest) {
		t.Helper()
		got, err := s.Guests(t.Context(), inviter)
		if err != nil || !slices.EqualFunc(got, list, func(x, y register.Guest) bool {
			ok := x.At.Equal(y.At)
			x.At, y.At = start, start
			return ok && x == y
		}) {
			t.Errorf("guests of %s: %+v, error %v, want %+v", inviter, got, err, list)
		}
	}
	want(mux.Address{}, b, a)
	want(romeo, a)
	s.apply(t, s.Befriended(juliet), s.Befriended(romeo))
	a.Befriend = false
	want(romeo, a)
}

func testRemove(t *testing.T, s Store) {
	mine, link, other := invite("mine"), invite("link"), invite("other")
	link.Kind, link.Name, link.Inviter = register.ForReset, romeo.Local(), mux.Address{}
	other.Inviter = juliet
	s.apply(t, s.AddInvite(mine), s.AddInvite(link), s.AddInvite(other))
	s.admit(t, register.Admission{Account: romeo, Application: &register.Application{Account: romeo, At: start}, MaxWaiting: 9,
		Guest: &register.Guest{Account: romeo, Inviter: juliet, At: start}}, nil)
	s.admit(t, register.Admission{Account: nurse, Guest: &register.Guest{Account: nurse, Inviter: romeo, At: start}}, nil)
	s.apply(t, s.RemoveAccount(romeo, start))
	s.wantUses(t, "mine", 0)
	s.wantUses(t, "link", 0)
	s.wantUses(t, "other", 2)
	if g, err := s.Guests(t.Context(), mux.Address{}); err != nil || len(g) > 0 {
		t.Errorf("guests %v, error %v", g, err)
	}
	if q, err := s.Applications(t.Context()); err != nil || len(q) > 0 {
		t.Errorf("applications %v, error %v", q, err)
	}
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	i := invite("a")
	s.apply(t, s.AddInvite(i))
	_, err1 := s.Invite(ctx, i.ID)
	_, err2 := s.Invites(ctx, mux.Address{})
	_, err3 := s.Applications(ctx)
	_, err4 := s.Guests(ctx, mux.Address{})
	for k, err := range []error{err1, err2, err3, err4, s.Redeem(ctx, i.ID, start)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v", k, err)
		}
	}
	s.wantUses(t, "a", 2)
}
