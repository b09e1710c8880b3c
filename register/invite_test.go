package register_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
)

const (
	noToken    = "cancel item-not-found 404"
	notAllowed = "cancel not-allowed 405"
)

// preauth shows a token.
func (s *stranger) preauth(token string) string {
	s.t.Helper()
	register := s.f
	defer func() { s.f = register }()
	for _, f := range s.st.Mux().Features() {
		if f.Name == "register token" {
			s.f = f
		}
	}
	return s.ask("<iq type='set' id='p'><preauth xmlns='" + "urn:xmpp:pars:0" + "' token='" + token + "'/></iq>")
}

// site is a host where people register.
type site struct {
	*muxtest.Host
	store   *broken
	people  *register.Extension
	invites *register.Memory
}

func newSite(t *testing.T, o register.Options, more ...mux.Extension) *site {
	t.Helper()
	s := &site{store: new(broken), invites: new(register.Memory)}
	if o.Store == nil {
		o.Store = s.invites
	}
	s.people = register.New(service(s.store), &o)
	s.Host = muxtest.New(t, nil, append([]mux.Extension{s.people}, more...)...)
	return s
}

// stranger is somebody from an address of its own.
func (s *site) stranger(t *testing.T, n int) *stranger {
	return newStranger(t, s.Host, mux.Client, fmt.Sprintf("192.0.2.%d:5000", n))
}

// invite makes one and returns the token.
func (s *site) invite(t *testing.T, i register.Invite) string {
	t.Helper()
	i.Domain = domain
	if i.Kind == 0 {
		i.Kind = register.ForAccount
	}
	made, err := s.people.Invite(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	return made.Token
}

// TestByInvite: AB-3, IV-2: without a token nobody learns anything, with one an account
// is made, once.
func TestByInvite(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite})
	token := s.invite(t, register.Invite{})
	if len(token) < 24 || strings.Trim(token, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		t.Errorf("token %q", token)
	}
	a := s.stranger(t, 1)
	for _, name := range []string{"bill", "juliet", "admin", "no name at all"} {
		if got := a.create(name, password); got != notAllowed {
			t.Errorf("%s: %q, want %q", name, got, notAllowed)
		}
	}
	if got := a.preauth(token); got != "" {
		t.Errorf("token: %q", got)
	}
	// IV-3: it is not used up by what fails.
	if got := a.create("bill", "short"); got != unwanted {
		t.Errorf("weak password: %q", got)
	}
	if got := a.create("bill", password); got != "" {
		t.Errorf("account: %q", got)
	}
	if got := s.stranger(t, 2).preauth(token); got != noToken {
		t.Errorf("used up: %q", got)
	}
	if list, err := s.people.Invites(t.Context(), mux.Address{}); err != nil || len(list) != 0 {
		t.Errorf("open %v, error %v", list, err)
	}
}

// TestInviteName: IV-4, IV-5, scenario 34: a name that is promised is nobody else's.
func TestInviteName(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Limiter: register.Unlimited{}})
	token, free := s.invite(t, register.Invite{Name: "Bill"}), s.invite(t, register.Invite{Uses: 5})
	if got := s.stranger(t, 1).create("bill", password); got != conflict {
		t.Errorf("plain: %q", got)
	}
	other := s.stranger(t, 2)
	if got := other.preauth(free); got != "" {
		t.Fatal(got)
	}
	if got := other.create("bill", password); got != conflict {
		t.Errorf("with another token: %q", got)
	}
	if _, err := s.people.SignUp(t.Context(), register.Request{Path: register.Operator, Domain: domain, Name: "bill", Password: password}); !errors.Is(err, register.ErrTaken) {
		t.Errorf("operator: %v", err)
	}
	if _, err := s.people.Invite(t.Context(), register.Invite{Kind: register.ForAccount, Domain: domain, Name: "bill"}); !errors.Is(err, register.ErrTaken) {
		t.Errorf("promised twice: %v", err)
	}
	a := s.stranger(t, 3)
	if got := a.preauth(token); got != "" {
		t.Fatal(got)
	}
	if got := a.ask(get); !strings.Contains(got, "<username>bill</username>") || !strings.Contains(got, "<value>bill</value>") {
		t.Errorf("fields %s", got)
	}
	if got := a.create("ben", password); got != notAllowed {
		t.Errorf("another name: %q", got)
	}
	if got := a.create("bill", password); got != "" {
		t.Errorf("the name: %q", got)
	}
}

// TestInviteExpires: scenario 34, IV-2: whether it has expired is looked at when it is
// shown, and then only; the name is free again.
func TestInviteExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, register.Options{Policy: register.ByInvite, Limiter: register.Unlimited{}})
		token, named := s.invite(t, register.Invite{Uses: 9}), s.invite(t, register.Invite{Name: "bill"})
		a := s.stranger(t, 1)
		if got := a.preauth(token); got != "" {
			t.Fatal(got)
		}
		time.Sleep(register.InviteLifetime + time.Second)
		for _, old := range []string{token, named, "wrong", ""} {
			if got := s.stranger(t, 2).preauth(old); got != noToken {
				t.Errorf("%q: %q, want %q", old, got, noToken)
			}
		}
		if got := a.create("bill", password); got != "" {
			t.Errorf("shown in time: %q", got)
		}
		time.Sleep(2 * time.Minute)
	})
}

// TestShow: a page is shown invitations to all domains, and those to a contact list; no
// account is made with the latter, nor without a challenge where one is set.
func TestShow(t *testing.T) {
	t.Parallel()
	juliet := mux.MustParseAddress("juliet@" + domain)
	for _, policy := range []register.Policy{register.Closed, register.ByInvite, register.Open} {
		s := newSite(t, register.Options{Policy: policy, Limiter: register.Unlimited{}, Challenger: &register.ProofOfWork{}})
		if s.people.Policy() != policy {
			t.Errorf("policy %d, want %d", s.people.Policy(), policy)
		}
		c, err := s.people.Challenge(t.Context(), domain)
		if err != nil || c == nil || len(c.Fields()) != 1 {
			t.Errorf("challenge %v, error %v", c, err)
		}
		ask := register.Request{Path: register.Web, Domain: domain, Name: "bill", Password: password}
		for _, tt := range []struct {
			name  string
			i     register.Invite
			shown bool
			err   error // of making an account with it
		}{
			{"account", register.Invite{}, policy != register.Closed, nil},
			{"contact", register.Invite{Kind: register.ForContact, Inviter: juliet}, true, register.ErrUninvited},
			{"contact and account", register.Invite{Kind: register.ForContact, Inviter: juliet, MayRegister: true}, true, nil},
			{"reset", register.Invite{Kind: register.ForReset, Name: "nobody"}, true, register.ErrOtherName},
		} {
			g, err := s.people.Show(t.Context(), netip.Addr{}, s.invite(t, tt.i))
			if (err == nil) != tt.shown || err != nil && !errors.Is(err, register.ErrToken) {
				t.Errorf("policy %d, %s: %v, want shown %t", policy, tt.name, err, tt.shown)
				continue
			}
			if err != nil {
				continue
			}
			if i := g.Invite(); i.Domain != domain || i.Inviter != tt.i.Inviter {
				t.Errorf("%s: %+v", tt.name, i)
			}
			want := tt.err
			if policy == register.Closed && tt.i.Kind == register.ForContact {
				want = register.ErrClosed
			}
			ask.Grant = g
			ask.Name = strings.ReplaceAll(tt.name, " ", "")
			if _, err := s.people.SignUp(t.Context(), ask); !errors.Is(err, want) {
				t.Errorf("policy %d, %s: %v, want %v", policy, tt.name, err, want)
			}
		}
		ask.Grant, ask.Name = nil, "bill"
		if _, err := s.people.SignUp(t.Context(), ask); policy == register.Open && !errors.Is(err, register.ErrChallenge) {
			t.Errorf("without an answer: %v", err)
		}
		if _, err := s.people.Show(t.Context(), netip.Addr{}, "wrong"); !errors.Is(err, register.ErrToken) {
			t.Errorf("wrong token: %v", err)
		}
	}
	s := newSite(t, register.Options{})
	if c, err := s.people.Challenge(t.Context(), domain); c != nil || err != nil {
		t.Errorf("challenge %v, error %v, want none", c, err)
	}
	if _, err := s.people.Show(t.Context(), netip.Addr{}, "wrong"); !errors.Is(err, register.ErrLimited) {
		t.Errorf("from nowhere: %v", err)
	}
}

// TestInviteGuessed: IV-6: the fifth wrong token ends the stream, and they count for the
// address.
func TestInviteGuessed(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite})
	tries := 0
	for range 6 {
		a := s.stranger(t, 1)
		for n := range 5 {
			want := noToken
			if n == 4 {
				want = "stream policy-violation"
			}
			if tries >= 20 {
				want = limited
			}
			if got := a.preauth("guess"); got != want {
				t.Errorf("try %d: %q, want %q", tries, got, want)
			}
			tries++
		}
	}
}

// TestInviteRevoked: revoked, of a closed policy, of one who cannot log in any more.
func TestInviteRevoked(t *testing.T) {
	t.Parallel()
	active := true
	s := newSite(t, register.Options{Policy: register.ByInvite, Limiter: register.Unlimited{},
		Active: func(context.Context, mux.Address) (bool, error) { return active, nil }})
	romeos := s.invite(t, register.Invite{Inviter: mux.MustParseAddress(romeo)})
	mine := s.invite(t, register.Invite{})
	held := s.stranger(t, 1)
	if got := held.preauth(romeos); got != "" {
		t.Errorf("romeo's: %q", got)
	}
	active = false
	if got := held.create("bob", password); got != notAllowed {
		t.Errorf("of somebody disabled after it was shown: %q", got)
	}
	if got := s.stranger(t, 1).preauth(romeos); got != noToken {
		t.Errorf("of somebody disabled: %q", got)
	}
	a := s.stranger(t, 2)
	if got := a.preauth(mine); got != "" {
		t.Errorf("mine: %q", got)
	}
	id := register.IDOf(mine).String()
	if err := s.people.RevokeInvite(t.Context(), mux.MustParseAddress(romeo), id); !errors.Is(err, register.ErrNoInvite) {
		t.Errorf("revoked by somebody else: %v", err)
	}
	if err := s.people.RevokeInvite(t.Context(), mux.Address{}, id); err != nil {
		t.Error(err)
	}
	if got := s.stranger(t, 3).preauth(mine); got != noToken {
		t.Errorf("revoked: %q", got)
	}
	if got := a.create("bill", password); got != notAllowed {
		t.Errorf("revoked after it was shown: %q", got)
	}
}

// TestInviteQuota: IV-10.
func TestInviteQuota(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite, MaxInvites: 3})
	s.invite(t, register.Invite{Inviter: mux.MustParseAddress(romeo), Uses: 2})
	const n = 6
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := s.people.Invite(t.Context(), register.Invite{Kind: register.ForContact, Domain: domain, Inviter: mux.MustParseAddress(romeo)})
			errs <- err
		}()
	}
	made := 0
	for range n {
		switch err := <-errs; {
		case err == nil:
			made++
		case !errors.Is(err, register.ErrQuota):
			t.Errorf("error %v", err)
		}
	}
	if made != 1 {
		t.Errorf("%d invitations above the quota", made-1)
	}
	for range 5 {
		s.invite(t, register.Invite{}) // the operator has none
	}
}

// TestOneTokenTwoStreams: scenario 29, a hundred times: one account, one use.
func TestOneTokenTwoStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite, Limiter: register.Unlimited{}})
	for n := range 100 {
		token := s.invite(t, register.Invite{})
		answers := make(chan string, 2)
		var wg sync.WaitGroup
		left, right := s.stranger(t, 1), s.stranger(t, 2)
		if a, b := left.preauth(token), right.preauth(token); a+b != "" {
			t.Fatalf("%q, %q", a, b)
		}
		wg.Go(func() { answers <- left.create(fmt.Sprintf("left%d", n), password) })
		wg.Go(func() { answers <- right.create(fmt.Sprintf("right%d", n), password) })
		wg.Wait()
		got := []string{<-answers, <-answers}
		if strings.Join(got, "") != notAllowed {
			t.Fatalf("answers %q, want one account", got)
		}
		accounts := 0
		for _, name := range []string{"left", "right"} {
			if _, err := s.store.Credentials(t.Context(), fmt.Sprintf("%s%d@%s", name, n, domain)); err == nil {
				accounts++
			}
		}
		if accounts != 1 {
			t.Fatalf("%d accounts", accounts)
		}
	}
}

// TestInviteOneName: two streams with two uses want one name.
func TestInviteOneName(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite, Limiter: register.Unlimited{}})
	token := s.invite(t, register.Invite{Uses: 2})
	answers := make(chan string, 2)
	for k := range 2 {
		a := s.stranger(t, k+1)
		if got := a.preauth(token); got != "" {
			t.Fatal(got)
		}
		go func() { answers <- a.create("bill", password) }()
	}
	if got := <-answers + <-answers; got != conflict {
		t.Errorf("answers %q", got)
	}
	if i, err := s.invites.Invite(t.Context(), register.IDOf(token)); err != nil || i.Uses != 1 {
		t.Errorf("%d uses left, error %v, want 1", i.Uses, err)
	}
}

// TestReset: IV-9: a link for a new password, also where registration is closed; the
// sessions of the account end (PC-3).
func TestReset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		watch := new(watcher)
		s := newSite(t, register.Options{}, watch)
		if err := service(s.store).Create(t.Context(), romeo, password); err != nil {
			t.Fatal(err)
		}
		c := s.Connect(t, romeo+"/orchard")
		token := s.invite(t, register.Invite{Kind: register.ForReset, Name: "romeo"})
		a := s.stranger(t, 1)
		if got := a.ask(get); got != closed {
			t.Errorf("closed: %q", got)
		}
		if got := a.preauth(token); got != "" {
			t.Fatal(got)
		}
		if got := a.ask(get); !strings.Contains(got, "<username>romeo</username>") {
			t.Errorf("fields %s", got)
		}
		if got := a.create("juliet", secret); got != notAllowed {
			t.Errorf("another name: %q", got)
		}
		s.store.update = errors.New("down")
		if got := a.create("romeo", secret); got != internal {
			t.Errorf("store down: %q", got)
		}
		s.store.update = nil
		if got := a.create("romeo", secret); got != "" {
			t.Errorf("reset: %q", got)
		}
		c.ExpectClosed("reset")
		if !matches(t, s.store, romeo, secret) || len(watch.seen) != 1 || watch.seen[0] != "changed "+romeo {
			t.Errorf("the old password counts, or told of %q", watch.seen)
		}
		if got := s.stranger(t, 2).preauth(token); got != noToken {
			t.Errorf("twice: %q", got)
		}
		time.Sleep(2 * time.Minute)
	})
}

// TestResetStopped: who has set a new password is told so, though the server stops before
// all that follows from it is done.
func TestResetStopped(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Limiter: register.Unlimited{}})
	if err := service(s.store).Create(t.Context(), romeo, password); err != nil {
		t.Fatal(err)
	}
	a := s.stranger(t, 1)
	if got := a.preauth(s.invite(t, register.Invite{Kind: register.ForReset, Name: "romeo"})); got != "" {
		t.Fatal(got)
	}
	if err := s.Host.Mux().Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := a.create("romeo", secret); got != "" || !matches(t, s.store, romeo, secret) {
		t.Errorf("reset: %q", got)
	}
}

// TestResetDisabled: no new password by a link for an account that cannot be logged in to,
// also if the link was shown before; nor where that cannot be told.
func TestResetDisabled(t *testing.T) {
	t.Parallel()
	active, down := true, error(nil)
	s := newSite(t, register.Options{Limiter: register.Unlimited{}, Active: func(_ context.Context, a mux.Address) (bool, error) {
		if a.String() != romeo {
			t.Errorf("asked about %s", a)
		}
		return active, down
	}})
	if err := service(s.store).Create(t.Context(), romeo, password); err != nil {
		t.Fatal(err)
	}
	token := s.invite(t, register.Invite{Kind: register.ForReset, Name: "romeo"})
	a := s.stranger(t, 1)
	if got := a.preauth(token); got != "" {
		t.Fatal(got)
	}
	active = false
	if got := a.create("romeo", secret); got != notAllowed {
		t.Errorf("disabled after it was shown: %q", got)
	}
	if got := s.stranger(t, 2).preauth(token); got != noToken {
		t.Errorf("disabled: %q", got)
	}
	down = errors.New("down")
	if got := a.create("romeo", secret); got != internal {
		t.Errorf("store down after it was shown: %q", got)
	}
	if got := s.stranger(t, 2).preauth(token); got != internal {
		t.Errorf("store down: %q", got)
	}
	if !matches(t, s.store, romeo, password) {
		t.Error("the password is another one")
	}
	active, down = true, nil
	if got := a.create("romeo", secret); got != "" || !matches(t, s.store, romeo, secret) {
		t.Errorf("enabled again: %q", got)
	}
}

// TestInviteStores: what cannot be looked up lets nobody in (scenario 38).
func TestInviteStores(t *testing.T) {
	t.Parallel()
	store := &failing{}
	s := newSite(t, register.Options{Policy: register.ByInvite, Store: store, Limiter: register.Unlimited{}})
	token := s.invite(t, register.Invite{})
	a := s.stranger(t, 1)
	store.err = errors.New("down")
	if got := a.preauth(token); got != internal {
		t.Errorf("shown: %q", got)
	}
	if got := a.create("bill", password); got != notAllowed {
		t.Errorf("not shown: %q", got)
	}
	store.err = nil
	if got := a.preauth(token); got != "" {
		t.Fatal(got)
	}
	store.err = errors.New("down")
	if got := a.create("bill", password); got != internal {
		t.Errorf("account: %q", got)
	}
	if _, err := s.store.Credentials(t.Context(), "bill@"+domain); !errors.Is(err, scram.ErrNoAccount) {
		t.Errorf("credentials: %v", err)
	}
}

// failing is a store that fails.
type failing struct {
	register.Memory
	err error
}

func (f *failing) Invite(ctx context.Context, id register.InviteID) (register.Invite, error) {
	if f.err != nil {
		return register.Invite{}, f.err
	}
	return f.Memory.Invite(ctx, id)
}

func (f *failing) Admit(a register.Admission) register.Also {
	if f.err != nil {
		return func(context.Context, any) (error, error) { return nil, f.err }
	}
	return f.Memory.Admit(a)
}
