package scram_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/scram"
)

// plain runs PLAIN; check, which may be nil, sees the exchange afterwards.
func plain(t testing.TB, a *scram.Authenticator, authzid, username, password string, check func(e *scram.Exchange)) error {
	t.Helper()
	e, err := a.Start(scram.Plain, host)
	if err != nil {
		t.Fatal(err)
	}
	out, done, err := e.Step(t.Context(), []byte(authzid+"\x00"+username+"\x00"+password))
	if len(out) != 0 || done != (err == nil) {
		t.Errorf("got %q, %v, %v", out, done, err)
	}
	if check != nil {
		check(e)
	}
	return err
}

// TestParsePlain: PL-2.
func TestParsePlain(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1024)
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"RFC 4616", "\x00tim\x00tanstaaftanstaaf", true},
		{"with authzid", "Ursel\x00Kurt\x00xipj3plmq", true},
		{"1024 octets each", long + "\x00" + long + "\x00" + long, true},
		{"empty", "", false},
		{"no NUL", "tim", false},
		{"one NUL", "tim\x00tanstaaf", false},
		{"three NUL", "\x00tim\x00tanstaaf\x00", false},
		{"data behind the third NUL", "\x00tim\x00tanstaaf\x00x", false},
		{"no name", "\x00\x00tanstaaf", false},
		{"no password", "\x00tim\x00", false},
		{"not UTF-8", "\x00tim\x00tan\xff", false},
		{"long authzid", long + "x\x00tim\x00tanstaaf", false},
		{"long name", "\x00" + long + "x\x00tanstaaf", false},
		{"long password", "\x00tim\x00x" + long, false},
		{"9 KiB", "\x00tim\x00" + strings.Repeat("x", 9<<10), false},
	} {
		_, name, password, err := scram.ParsePlain([]byte(c.in))
		if c.ok != (err == nil) || c.ok && (name == "" || password == "") {
			t.Errorf("%s: got %v", c.name, err)
		}
		if !c.ok {
			wantCondition(t, err, scram.MalformedRequest)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	for _, c := range []struct{ name, authzid, username, password, account, condition string }{
		{"right", "", "user", "pencil", "user", ""},
		{"name prepared", "", "USER", "pencil", "user", ""},
		{"password prepared", "", "user", "\uff50encil", "user", ""},
		{"own authzid", "user@example.net", "user", "pencil", "user", ""},
		{"authzid of another", "old@example.net", "user", "pencil", "", scram.InvalidAuthzid},
		{"authzid of another, wrong password", "old@example.net", "user", "pen", "", scram.NotAuthorized},
		{"wrong password", "", "user", "pencil ", "", scram.NotAuthorized},
		{"forbidden password", "", "user", "\a", "", scram.NotAuthorized},
		{"unknown user", "", "nobody", "pencil", "", scram.NotAuthorized},
		{"name that cannot be", "", "a b", "pencil", "", scram.NotAuthorized},
		{"no keys", "", "empty", "pencil", "", scram.NotAuthorized},
		{"disabled", "", "off", "pencil", "", scram.AccountDisabled},
		{"disabled, wrong password", "", "off", "pen", "", scram.NotAuthorized},
		{"about to be removed", "", "closing", "pencil", "", scram.AccountDisabled},
		{"about to be removed, wrong password", "", "closing", "pen", "", scram.NotAuthorized},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := plain(t, b.Authenticator, c.authzid, c.username, c.password, func(e *scram.Exchange) {
				if want := strings.TrimPrefix(c.account+"@"+host, "@"+host); e.Account() != want {
					t.Errorf("got account %q, want %q", e.Account(), want)
				}
			})
			wantCondition(t, err, c.condition)
			if err != nil && strings.Contains(err.Error(), c.password) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// TestPlainStrongest: PL-3, the strongest key decides alone.
func TestPlainStrongest(t *testing.T) {
	t.Parallel()
	strong, err := scram.NewCredentials("another", quick)
	if err != nil {
		t.Fatal(err)
	}
	sha512, _ := strong.Key(scram.SHA512)
	b := newBed(t, scram.Options{})
	c := scram.Credentials{Keys: []scram.Key{mustKey(t, keySHA1), sha512, mustKey(t, keySHA256)}}
	if _, err := b.store.Create(t.Context(), "mixed@"+host, c); err != nil {
		t.Fatal(err)
	}
	wantCondition(t, plain(t, b.Authenticator, "", "mixed", "pencil", nil), scram.NotAuthorized)
	wantCondition(t, plain(t, b.Authenticator, "", "mixed", "another", nil), "")
}

// TestRenew: PW-10, a login with PLAIN fills in what the policy asks for.
func TestRenew(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{Policy: scram.Policy{Iterations: 5000, Hashes: []scram.Hash{scram.SHA256, scram.SHA512}}})
	const account = "old@" + host
	before, err := b.store.Credentials(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	wantCondition(t, plain(t, b.Authenticator, "", "old", "wrong", nil), scram.NotAuthorized)
	if c, _ := b.store.Credentials(t.Context(), account); c.Generation != before.Generation {
		t.Fatal("a wrong password changed the credentials")
	}
	err = plain(t, b.Authenticator, "", "old", "pencil", func(e *scram.Exchange) {
		c, err := b.store.Credentials(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		// What was issued for the password is good for it still.
		if c.Generation != before.Generation || e.Generation() != c.Generation {
			t.Errorf("got generation %d from the exchange, %d stored, %d before", e.Generation(), c.Generation, before.Generation)
		}
		if sha1, ok := c.Key(scram.SHA1); !ok || !sha1.Equal(before.Keys[0]) {
			t.Error("the key for SHA-1, no business of the policy, did not stay")
		}
		for _, h := range []scram.Hash{scram.SHA256, scram.SHA512} {
			k, _ := c.Key(h)
			if ok, err := k.Matches("pencil"); err != nil || !ok || k.Iterations != 5000 {
				t.Errorf("%v: got %v, %v, %v", h, k, ok, err)
			}
		}
		before = c
	})
	wantCondition(t, err, "")
	wantCondition(t, plain(t, b.Authenticator, "", "old", "pencil", nil), "")
	if c, _ := b.store.Credentials(t.Context(), account); !c.Updated.Equal(before.Updated) {
		t.Error("credentials were renewed twice")
	}
	e := b.start(t, "SCRAM-SHA-256")
	c := &testClient{mechanism: "SCRAM-SHA-256", password: "pencil", bare: "n=old,r=" + clientNonce}
	wantCondition(t, c.run(t, e), "")

	wantCondition(t, plain(t, b.Authenticator, "", "user", "pencil", nil), "")
	if c, _ := b.store.Credentials(t.Context(), "user@"+host); len(c.Keys) != 3 || c.Keys[0].Iterations != 4096 ||
		c.Keys[1].Iterations != 5000 || c.Keys[2].Iterations != 5000 || string(c.Keys[1].Salt) == string(c.Keys[2].Salt) {
		t.Errorf("got %v, want those of the policy raised, with salts of their own", c.Keys)
	}

	wantCondition(t, plain(t, b.Authenticator, "", "off", "pencil", nil), scram.AccountDisabled)
	if c, _ := b.store.Credentials(t.Context(), "off@"+host); c.Keys[1].Iterations != 4096 {
		t.Error("a disabled account was renewed")
	}
}

// TestRenewRace: PW-11, a password changed during a login with PLAIN stays
// changed, and the old one is refused.
func TestRenewRace(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	const account = "old@" + host
	changed, err := scram.NewCredentials("another password", quick)
	if err != nil {
		t.Fatal(err)
	}
	s := &brokenStore{Store: b.store}
	s.onUpdate = func() {
		c, err := b.store.Credentials(t.Context(), account)
		if err == nil {
			_, err = b.store.Update(t.Context(), account, c.Generation, changed)
		}
		if err != nil {
			t.Error(err)
		}
	}
	a := scram.New(s, &scram.Options{Policy: quick})
	wantCondition(t, plain(t, a, "", "old", "pencil", nil), scram.NotAuthorized)
	wantCondition(t, plain(t, b.Authenticator, "", "old", "another password", nil), "")

	// An account whose credentials never rest cannot be verified.
	b = newBed(t, scram.Options{})
	a = scram.New(&brokenStore{Store: b.store, updateErr: scram.ErrConflict}, &scram.Options{Policy: quick})
	wantCondition(t, plain(t, a, "", "old", "pencil", nil), scram.NotAuthorized)
	a = scram.New(&brokenStore{Store: b.store, updateErr: scram.ErrNoAccount}, &scram.Options{Policy: quick})
	wantCondition(t, plain(t, a, "", "old", "pencil", nil), scram.NotAuthorized)
	// The login does not depend on whether keys could be renewed.
	a = scram.New(&brokenStore{Store: b.store, updateErr: errStore}, &scram.Options{Policy: quick})
	wantCondition(t, plain(t, a, "", "old", "pencil", nil), "")
}

// TestRenewTogether: logins of one account at the same time all succeed, whoever
// of them renews the keys.
func TestRenewTogether(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := plain(t, b.Authenticator, "", "old", "pencil", func(e *scram.Exchange) {
				if e.Account() != "old@"+host {
					t.Errorf("got account %q", e.Account())
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c, err := b.store.Credentials(t.Context(), "old@"+host); err != nil || len(c.Keys) != 3 {
		t.Errorf("got %v, %v", c.Keys, err)
	}
}

// TestPool: PL-4.
func TestPool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scram.NewPool(2, 3)
		release := make(chan struct{})
		var ran sync.Map
		for i := range 5 {
			go func() {
				if err := p.Do(t.Context(), func() error { ran.Store(i, true); <-release; return nil }); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		n := 0
		ran.Range(func(_, _ any) bool { n++; return true })
		if n != 2 {
			t.Errorf("%d run at a time, want 2", n)
		}
		if err := p.Do(t.Context(), func() error { t.Error("ran"); return nil }); !errors.Is(err, scram.ErrBusy) {
			t.Errorf("full: got %v", err)
		}
		b := newBed(t, scram.Options{Pool: p})
		for _, name := range []string{"user", "nobody"} {
			wantCondition(t, plain(t, b.Authenticator, "", name, "pencil", nil), scram.TemporaryAuthFailure)
		}
		close(release)
		synctest.Wait()
		want := errors.New("its own")
		if err := p.Do(t.Context(), func() error { return want }); !errors.Is(err, want) {
			t.Errorf("got %v, want the function's error", err)
		}
	})
}

// TestPoolDefault: as many run at a time as there are CPUs but one, and one at least.
func TestPoolDefault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, p := range []*scram.Pool{scram.NewPool(0, 0), scram.NewPool(-1, -1)} {
			var ran atomic.Int64
			release := make(chan struct{})
			for range 10 * runtime.GOMAXPROCS(0) {
				go func() {
					if err := p.Do(t.Context(), func() error { ran.Add(1); <-release; return nil }); err != nil {
						t.Error(err)
					}
				}()
			}
			synctest.Wait()
			if got, want := int(ran.Load()), max(1, runtime.GOMAXPROCS(0)-1); got != want {
				t.Errorf("%d run at a time, want %d", got, want)
			}
			close(release)
			synctest.Wait()
		}
	})
}

func TestPoolContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scram.NewPool(1, 1)
		release := make(chan struct{})
		go func() {
			if err := p.Do(t.Context(), func() error { <-release; return nil }); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if err := p.Do(ctx, func() error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting: got %v", err)
		}
		close(release)
		synctest.Wait()
		if err := p.Do(ctx, func() error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("free: got %v", err)
		}
		if err := p.Do(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("afterwards: got %v", err)
		}
	})
}
