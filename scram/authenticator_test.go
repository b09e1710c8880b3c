package scram_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/scram"
)

const host = "example.net"

var quick = scram.Policy{Iterations: scram.MinIterations, Floor: scram.MinIterations}

// bed is an authenticator over a memory with some accounts: user, whose
// password is pencil and who has all keys; old, with pencil and a key for
// SHA-1 only; off, as user but disabled; closing, as user but about to be removed;
// empty, without keys.
type bed struct {
	*scram.Authenticator
	store *scram.Memory
}

func newBed(t testing.TB, o scram.Options) bed {
	t.Helper()
	if o.Policy.Iterations == 0 {
		o.Policy.Iterations = scram.MinIterations
	}
	o.Policy.Floor = scram.MinIterations
	b := bed{store: new(scram.Memory)}
	all := scram.Credentials{Keys: []scram.Key{mustKey(t, keySHA1), mustKey(t, keySHA256), mustKey(t, keySHA512)}}
	off, closing := all, all
	off.Disabled = true
	closing.Closing = time.UnixMicro(1_700_000_000_000_000)
	for name, c := range map[string]scram.Credentials{
		"user": all, "off": off, "closing": closing, "old": {Keys: all.Keys[:1]}, "empty": {}, "j,=\u00fcrgen": all,
	} {
		if _, err := b.store.Create(t.Context(), name+"@"+host, c); err != nil {
			t.Fatal(err)
		}
	}
	b.Authenticator = scram.New(b.store, &o)
	return b
}

func (b bed) start(t testing.TB, mechanism string) *scram.Exchange {
	t.Helper()
	e, err := b.Start(mechanism, host)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestMechanisms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		o    *scram.Options
		want string
	}{
		{"default", nil, "SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 PLAIN"},
		{"without PLAIN", &scram.Options{DisablePlain: true}, "SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1"},
		{"one hash", &scram.Options{Policy: scram.Policy{Hashes: []scram.Hash{scram.SHA256}}}, "SCRAM-SHA-256 PLAIN"},
		{"own order", &scram.Options{Policy: scram.Policy{Hashes: []scram.Hash{scram.SHA1, scram.SHA512, 77}}}, "SCRAM-SHA-512 SCRAM-SHA-1 PLAIN"},
	} {
		a := scram.New(new(scram.Memory), c.o)
		if got := strings.Join(a.Mechanisms(), " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		for _, m := range []string{"", "scram-sha-1", "SCRAM-SHA-1-PLUS", "PLAIN", "SCRAM-SHA-1", "DIGEST-MD5"} {
			e, err := a.Start(m, host)
			if slices.Contains(a.Mechanisms(), m) {
				if err != nil || e.Mechanism() != m {
					t.Errorf("%s: Start(%s): got %v", c.name, m, err)
				}
				continue
			}
			wantCondition(t, err, scram.InvalidMechanism)
		}
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	const r = ",r=" + clientNonce
	b := newBed(t, scram.Options{})
	for _, c := range []struct {
		name, mechanism, header, username, password string
		account                                     string
		condition                                   string
	}{
		{"SHA-1", "SCRAM-SHA-1", "n,,", "user", "pencil", "user", ""},
		{"SHA-256", "SCRAM-SHA-256", "n,,", "user", "pencil", "user", ""},
		{"SHA-512", "SCRAM-SHA-512", "y,,", "user", "pencil", "user", ""},
		{"name in upper case", "SCRAM-SHA-256", "n,,", "USER", "pencil", "user", ""},
		{"name of full width", "SCRAM-SHA-256", "n,,", "\uff55ser", "pencil", "user", ""},
		{"own authzid", "SCRAM-SHA-256", "n,a=user@example.net,", "user", "pencil", "user", ""},
		{"own authzid, not prepared", "SCRAM-SHA-256", "n,a=USER@Example.NET,", "user", "pencil", "user", ""},
		{"authzid of another", "SCRAM-SHA-256", "n,a=old@example.net,", "user", "pencil", "", scram.InvalidAuthzid},
		{"authzid on another host", "SCRAM-SHA-256", "n,a=user@example.org,", "user", "pencil", "", scram.InvalidAuthzid},
		{"authzid without a host", "SCRAM-SHA-256", "n,a=user,", "user", "pencil", "", scram.InvalidAuthzid},
		{"authzid with a resource", "SCRAM-SHA-256", "n,a=user@example.net/x,", "user", "pencil", "", scram.InvalidAuthzid},
		{"authzid that is no JID", "SCRAM-SHA-256", "n,a=@,", "user", "pencil", "", scram.InvalidAuthzid},
		{"authzid of another, wrong password", "SCRAM-SHA-256", "n,a=old@example.net,", "user", "pencils", "", scram.NotAuthorized},
		{"wrong password", "SCRAM-SHA-256", "n,,", "user", "pencils", "", scram.NotAuthorized},
		{"unknown user", "SCRAM-SHA-256", "n,,", "nobody", "pencil", "", scram.NotAuthorized},
		{"no key for the hash", "SCRAM-SHA-256", "n,,", "old", "pencil", "", scram.NotAuthorized},
		{"key for the hash", "SCRAM-SHA-1", "n,,", "old", "pencil", "old", ""},
		{"no keys", "SCRAM-SHA-1", "n,,", "empty", "pencil", "", scram.NotAuthorized},
		{"disabled", "SCRAM-SHA-1", "n,,", "off", "pencil", "", scram.AccountDisabled},
		{"disabled, wrong password", "SCRAM-SHA-1", "n,,", "off", "pencils", "", scram.NotAuthorized},
		{"about to be removed", "SCRAM-SHA-256", "n,,", "closing", "pencil", "", scram.AccountDisabled},
		{"about to be removed, wrong password", "SCRAM-SHA-256", "n,,", "closing", "pencils", "", scram.NotAuthorized},
		{"name that cannot be", "SCRAM-SHA-1", "n,,", "user@example.net", "pencil", "", scram.NotAuthorized},
		{"name of 1100 octets", "SCRAM-SHA-1", "n,,", strings.Repeat("u", 1100), "pencil", "", scram.NotAuthorized},
		{"name with escapes", "SCRAM-SHA-1", "n,,", "J=2C=3D\u00dcrgen", "pencil", "j,=\u00fcrgen", ""},
		{"wrong grammar", "SCRAM-SHA-1", "n,,m=1,", "user", "pencil", "", scram.MalformedRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := b.start(t, c.mechanism)
			client := &testClient{mechanism: c.mechanism, password: c.password, header: c.header, bare: "n=" + c.username + r}
			wantCondition(t, client.run(t, e), c.condition)
			want := ""
			if c.account != "" {
				want = c.account + "@" + host
			}
			if e.Account() != want || (e.Generation() != 0) != (want != "") {
				t.Errorf("got account %q, generation %d, want %q", e.Account(), e.Generation(), want)
			}
			_, done, err := e.Step(t.Context(), client.first())
			wantCondition(t, err, scram.MalformedRequest)
			if done {
				t.Error("done again")
			}
		})
	}
}

// TestNoInitialResponse: SA-5. No data is asked for once; empty data is a
// message, and wrong.
func TestNoInitialResponse(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	for _, mechanism := range []string{"SCRAM-SHA-1", "PLAIN"} {
		e := b.start(t, mechanism)
		out, done, err := e.Step(t.Context(), nil)
		if out == nil || len(out) != 0 || done || err != nil {
			t.Fatalf("%s: got %q, %v, %v, want an empty challenge", mechanism, out, done, err)
		}
		_, _, err = e.Step(t.Context(), nil)
		wantCondition(t, err, scram.MalformedRequest)

		_, _, err = b.start(t, mechanism).Step(t.Context(), []byte{})
		wantCondition(t, err, scram.MalformedRequest)
	}
	e := b.start(t, "SCRAM-SHA-1")
	if _, _, err := e.Step(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	c := &testClient{mechanism: "SCRAM-SHA-1", password: "pencil"}
	if err := c.run(t, e); err != nil || e.Account() != "user@example.net" {
		t.Errorf("got %q, %v", e.Account(), err)
	}
	e = b.start(t, "SCRAM-SHA-1")
	if _, _, err := e.Step(t.Context(), c.first()); err != nil {
		t.Fatal(err)
	}
	_, _, err := e.Step(t.Context(), nil)
	wantCondition(t, err, scram.MalformedRequest)
}

// challengeFor returns salt and iteration count as shown to a user name.
func challengeFor(t testing.TB, a *scram.Authenticator, mechanism, name string) string {
	t.Helper()
	e, err := a.Start(mechanism, host)
	if err != nil {
		t.Fatal(err)
	}
	c := &testClient{bare: "n=" + name + ",r=" + clientNonce}
	out, _, err := e.Step(t.Context(), c.first())
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(out), ",")
	return shown
}

// TestUnknownUser: SC-18 and SC-19, what is shown for a name stays the same,
// whatever way it is written, and looks like the real ones.
func TestUnknownUser(t *testing.T) {
	t.Parallel()
	o := scram.Options{Secret: [32]byte{1}, Classes: []scram.Class{{16, 4096}}}
	one, two := newBed(t, o), newBed(t, o)
	o.Secret[0]++
	other := newBed(t, o)
	for _, name := range []string{"nobody", "empty", "old"} {
		want := challengeFor(t, one.Authenticator, "SCRAM-SHA-256", name)
		for _, again := range []string{name, strings.ToUpper(name), name} {
			if got := challengeFor(t, two.Authenticator, "SCRAM-SHA-256", again); got != want {
				t.Errorf("%s: got %s, then %s", name, want, got)
			}
		}
		if challengeFor(t, other.Authenticator, "SCRAM-SHA-256", name) == want {
			t.Errorf("%s: the secret does not matter", name)
		}
		if challengeFor(t, one.Authenticator, "SCRAM-SHA-512", name) == want {
			t.Errorf("%s: hashes share a salt", name)
		}
		if real := challengeFor(t, one.Authenticator, "SCRAM-SHA-256", "user"); len(real) != len(want) {
			t.Errorf("%s: got %s, a real one is %s", name, want, real)
		}
	}
}

// TestLookups: SC-20, whoever fails, fails at the end and after one look-up.
func TestLookups(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	for _, name := range []string{"user", "nobody", "old", "empty", "off"} {
		s := &brokenStore{Store: b.store}
		a := scram.New(s, &scram.Options{Policy: quick})
		challengeFor(t, a, "SCRAM-SHA-256", name)
		if s.lookups != 1 {
			t.Errorf("%s: %d look-ups before the challenge", name, s.lookups)
		}
		s.lookups = 0
		e, err := a.Start("SCRAM-SHA-256", host)
		if err != nil {
			t.Fatal(err)
		}
		client := &testClient{mechanism: "SCRAM-SHA-256", password: "wrong", bare: "n=" + name + ",r=" + clientNonce}
		wantCondition(t, client.run(t, e), scram.NotAuthorized)
		if s.lookups != 1 {
			t.Errorf("%s: %d look-ups in an exchange", name, s.lookups)
		}
		s.lookups = 0
		wantCondition(t, plain(t, a, "", name, "wrong", nil), scram.NotAuthorized)
		if s.lookups != 1 {
			t.Errorf("%s: %d look-ups with PLAIN", name, s.lookups)
		}
	}
}

// TestChangedMeanwhile: SC-23.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	const account = "user@" + host
	for name, change := range map[string]func(ctx context.Context, s *scram.Memory) error{
		"written": func(ctx context.Context, s *scram.Memory) error {
			c, err := s.Credentials(ctx, account)
			if err == nil {
				_, err = s.Update(ctx, account, c.Generation, c)
			}
			return err
		},
		"removed": func(ctx context.Context, s *scram.Memory) error { return s.Remove(ctx, account) },
		"removed and created": func(ctx context.Context, s *scram.Memory) error {
			c, err := s.Credentials(ctx, account)
			if err == nil {
				err = s.Remove(ctx, account)
			}
			if err == nil {
				_, err = s.Create(ctx, account, c)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, scram.Options{})
			e := b.start(t, "SCRAM-SHA-256")
			c := &testClient{mechanism: "SCRAM-SHA-256", password: "pencil"}
			challenge, _, err := e.Step(t.Context(), c.first())
			if err != nil {
				t.Fatal(err)
			}
			if err := change(t.Context(), b.store); err != nil {
				t.Fatal(err)
			}
			message, _ := c.final(t, challenge)
			_, _, err = e.Step(t.Context(), message)
			wantCondition(t, err, scram.NotAuthorized)
		})
	}
}

// brokenStore fails at the nth look-up.
type brokenStore struct {
	scram.Store
	lookups, failAt int
	updateErr       error
	onUpdate        func()
}

var errStore = errors.New("disk on fire")

func (s *brokenStore) Credentials(ctx context.Context, account string) (scram.Credentials, error) {
	if s.lookups++; s.lookups == s.failAt {
		return scram.Credentials{}, errStore
	}
	return s.Store.Credentials(ctx, account)
}

func (s *brokenStore) Update(ctx context.Context, account string, from int64, c scram.Credentials, also ...scram.Also) (int64, error) {
	if s.onUpdate != nil {
		s.onUpdate()
	}
	if s.updateErr != nil {
		return 0, s.updateErr
	}
	return s.Store.Update(ctx, account, from, c)
}

func (s *brokenStore) Renew(ctx context.Context, account string, from int64, keys []scram.Key) error {
	if s.onUpdate != nil {
		s.onUpdate()
	}
	if s.updateErr != nil {
		return s.updateErr
	}
	return s.Store.Renew(ctx, account, from, keys)
}

func (s *brokenStore) AddKey(ctx context.Context, account string, from int64, k scram.Key) error {
	if s.updateErr != nil {
		return s.updateErr
	}
	return s.Store.AddKey(ctx, account, from, k)
}

// TestStoreDown: SA-12, at each look-up and for everybody.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	for _, c := range []struct {
		name, username string
		failAt         int
	}{{"first look-up", "user", 1}, {"first look-up, unknown", "nobody", 1}, {"second look-up", "user", 2}} {
		a := scram.New(&brokenStore{Store: b.store, failAt: c.failAt}, &scram.Options{Policy: quick})
		e, err := a.Start("SCRAM-SHA-256", host)
		if err != nil {
			t.Fatal(err)
		}
		client := &testClient{mechanism: "SCRAM-SHA-256", password: "pencil", bare: "n=" + c.username + ",r=" + clientNonce}
		err = client.run(t, e)
		wantCondition(t, err, scram.TemporaryAuthFailure)
		if !errors.Is(err, errStore) || e.Account() != "" {
			t.Errorf("%s: got %v, account %q", c.name, err, e.Account())
		}
		a = scram.New(&brokenStore{Store: b.store, failAt: c.failAt}, &scram.Options{Policy: quick})
		wantCondition(t, plain(t, a, "", c.username, "pencil", nil), scram.TemporaryAuthFailure)
	}
}

// TestBrokenKey: a key that cannot be used is as good as none.
func TestBrokenKey(t *testing.T) {
	t.Parallel()
	s := new(scram.Memory)
	k := mustKey(t, keySHA256)
	k.Iterations = 1
	if _, err := s.Create(t.Context(), "user@"+host, scram.Credentials{Keys: []scram.Key{k}}); err != nil {
		t.Fatal(err)
	}
	a := scram.New(s, &scram.Options{Policy: quick})
	e, err := a.Start("SCRAM-SHA-256", host)
	if err != nil {
		t.Fatal(err)
	}
	wantCondition(t, (&testClient{mechanism: "SCRAM-SHA-256", password: "pencil"}).run(t, e), scram.NotAuthorized)
	wantCondition(t, plain(t, a, "", "user", "pencil", nil), scram.NotAuthorized)
}

// TestClaimed: an exchange tells whose it is to be once it was named, prepared and on
// failure as well, whether there is such an account or not.
func TestClaimed(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	for in, want := range map[string]string{
		"\x00User\x00wrong": "user@" + host, "\x00nobody\x00wrong": "nobody@" + host, "\x00user\x00pencil": "user@" + host,
		"\x00a b\x00wrong": "", "user": "",
	} {
		e := b.start(t, "PLAIN")
		_, _, _ = e.Step(t.Context(), []byte(in)) // what it leads to is tested elsewhere
		if got := e.Claimed(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	e := b.start(t, "SCRAM-SHA-256")
	if _, _, err := e.Step(t.Context(), []byte("n,,n=nobody,r=0123456789abcdef")); err != nil || e.Claimed() != "nobody@"+host || e.Account() != "" {
		t.Errorf("SCRAM: %q, account %q, %v", e.Claimed(), e.Account(), err)
	}
}
