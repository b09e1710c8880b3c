package scram_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

const (
	serviceAccount  = "juliet@example.net"
	servicePassword = "parting is such sweet sorrow"
)

// cheap are options with which keys cost little.
func cheap() *scram.ServiceOptions {
	return &scram.ServiceOptions{Policy: scram.Policy{Iterations: scram.MinIterations, Floor: scram.MinIterations}}
}

// hooked is a store that does something before it does what it is asked for.
type hooked struct {
	scram.Memory
	before func(what string) error
}

func (h *hooked) call(what string) error {
	if h.before == nil {
		return nil
	}
	return h.before(what)
}

func (h *hooked) Credentials(ctx context.Context, account string) (scram.Credentials, error) {
	if err := h.call("read"); err != nil {
		return scram.Credentials{}, err
	}
	return h.Memory.Credentials(ctx, account)
}

func (h *hooked) Create(ctx context.Context, account string, c scram.Credentials, also ...scram.Also) (int64, error) {
	if err := h.call("create"); err != nil {
		return 0, err
	}
	return h.Memory.Create(ctx, account, c, also...)
}

func (h *hooked) Update(ctx context.Context, account string, from int64, c scram.Credentials, also ...scram.Also) (int64, error) {
	if err := h.call("update"); err != nil {
		return 0, err
	}
	return h.Memory.Update(ctx, account, from, c, also...)
}

// hasPassword reports whether every key of an account fits a password.
func hasPassword(t *testing.T, store scram.Store, password string) bool {
	t.Helper()
	c, err := store.Credentials(t.Context(), serviceAccount)
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := scram.PreparePassword(password)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range c.Keys {
		ok, err := k.Matches(prepared)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return false
		}
	}
	return len(c.Keys) > 0
}

func TestServiceCreate(t *testing.T) {
	t.Parallel()
	store := new(hooked)
	s := scram.NewService(store, cheap())
	if err := s.Create(t.Context(), serviceAccount, servicePassword); err != nil {
		t.Fatal(err)
	}
	c, err := store.Credentials(t.Context(), serviceAccount)
	if err != nil || len(c.Keys) != len(scram.Hashes()) {
		t.Fatalf("%d keys, error %v; want one for each hash", len(c.Keys), err)
	}
	if !hasPassword(t, store, servicePassword) {
		t.Error("the keys do not fit the password")
	}
	// One that exists costs no keys.
	store.before = func(what string) error {
		if what == "create" {
			t.Error("tried to create what exists")
		}
		return nil
	}
	wantRefusal(t, s.Create(t.Context(), serviceAccount, "another good password"), scram.ErrExists, "exists")
	if !hasPassword(t, store, servicePassword) {
		t.Error("the password is another one")
	}
}

// wantRefusal checks an error that says why by a method.
func wantRefusal(t *testing.T, err, cause error, method string) {
	t.Helper()
	if !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
	var r *scram.Refusal
	if !errors.As(err, &r) {
		t.Errorf("error %v is no refusal", err)
		return
	}
	got := map[string]bool{"exists": r.Exists(), "missing": r.Missing(), "unacceptable": r.Unacceptable(), "busy": r.Busy()}
	for name, yes := range got {
		if yes != (name == method) {
			t.Errorf("%v: %s is %t", err, name, yes)
		}
	}
}

func TestServiceRefusals(t *testing.T) {
	t.Parallel()
	s := scram.NewService(new(scram.Memory), cheap())
	for _, password := range []string{"", "short", "password1", strings.Repeat("x", 129), strings.Repeat("x", 2000), "a\x00bcdefgh"} {
		wantRefusal(t, s.Create(t.Context(), serviceAccount, password), scram.ErrPassword, "unacceptable")
		wantRefusal(t, s.SetPassword(t.Context(), serviceAccount, password), scram.ErrPassword, "unacceptable")
	}
	wantRefusal(t, s.SetPassword(t.Context(), serviceAccount, servicePassword), scram.ErrNoAccount, "missing")
	wantRefusal(t, s.Remove(t.Context(), serviceAccount), scram.ErrNoAccount, "missing")
	for _, name := range []string{"", "two words", "a@b", strings.Repeat("x", 65), "stra\u00dfe"} {
		_, err := s.Prepare(name)
		wantRefusal(t, err, scram.ErrName, "unacceptable")
	}
	if got, err := s.Prepare("\uff21lice"); err != nil || got != "alice" {
		t.Errorf("prepared %q, error %v", got, err)
	}
	o := cheap()
	o.MaxName = 3
	if _, err := scram.NewService(new(scram.Memory), o).Prepare("alice"); !errors.Is(err, scram.ErrName) {
		t.Errorf("long name: error %v", err)
	}
	o.Rules.MinLength = 3
	if err := scram.NewService(new(scram.Memory), o).Create(t.Context(), serviceAccount, "abc"); err != nil {
		t.Errorf("rules of the options: %v", err)
	}
}

// TestServiceBusy: with no room in the pool there is an answer at once.
func TestServiceBusy(t *testing.T) {
	t.Parallel()
	o := cheap()
	o.Pool = scram.NewPool(1, 1)
	s := scram.NewService(new(scram.Memory), o)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	running, release := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		_ = o.Pool.Do(t.Context(), func() error { close(running); <-release; return nil })
	})
	<-running
	// One more waits; of two that come one does not find room.
	errs := make(chan error, 2)
	for range 2 {
		wg.Go(func() { errs <- s.Create(ctx, serviceAccount, servicePassword) })
	}
	wantRefusal(t, <-errs, scram.ErrBusy, "busy")
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that waited: %v", err)
	}
	close(release)
	wg.Wait()
}

func TestServiceSetPassword(t *testing.T) {
	t.Parallel()
	store := new(hooked)
	s := scram.NewService(store, cheap())
	if _, err := store.Create(t.Context(), serviceAccount, scram.Credentials{Disabled: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPassword(t.Context(), serviceAccount, servicePassword); err != nil {
		t.Fatal(err)
	}
	if c, err := store.Credentials(t.Context(), serviceAccount); err != nil || !c.Disabled || len(c.Keys) != len(scram.Hashes()) {
		t.Errorf("credentials %+v, error %v", c, err)
	}
	if !hasPassword(t, store, servicePassword) {
		t.Error("the keys do not fit the password")
	}
}

// TestServiceSetPasswordRace: what somebody else writes meanwhile, such as missing
// keys at a login with the old password, does not win (PW-11).
func TestServiceSetPasswordRace(t *testing.T) {
	t.Parallel()
	for _, others := range []int{1, 100} {
		store := new(hooked)
		s := scram.NewService(store, cheap())
		if err := s.Create(t.Context(), serviceAccount, "the old password"); err != nil {
			t.Fatal(err)
		}
		old, err := store.Credentials(t.Context(), serviceAccount)
		if err != nil {
			t.Fatal(err)
		}
		gen, left := old.Generation, others
		store.before = func(what string) error {
			if what != "update" || left == 0 {
				return nil
			}
			left--
			var err error
			gen, err = store.Memory.Update(context.Background(), serviceAccount, gen, old)
			return err
		}
		err = s.SetPassword(t.Context(), serviceAccount, servicePassword)
		store.before = nil
		switch {
		case others == 1 && err != nil:
			t.Errorf("one other: %v", err)
		case others > 1 && !errors.Is(err, scram.ErrConflict):
			t.Errorf("no end of others: %v", err)
		}
		if got := hasPassword(t, store, servicePassword); got != (others == 1) {
			t.Errorf("%d others: the new password counts: %t", others, got)
		}
	}
}

func TestServiceBrokenStore(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for _, what := range []string{"read", "create", "update"} {
		store := new(hooked)
		s := scram.NewService(store, cheap())
		if what == "update" {
			if err := s.Create(t.Context(), serviceAccount, servicePassword); err != nil {
				t.Fatal(err)
			}
		}
		store.before = func(w string) error {
			if w == what {
				return down
			}
			return nil
		}
		call := s.Create
		if what == "update" {
			call = s.SetPassword
		}
		err := call(t.Context(), serviceAccount, "another good password")
		var r *scram.Refusal
		if !errors.Is(err, down) || errors.As(err, &r) {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

func TestServiceRemove(t *testing.T) {
	t.Parallel()
	store := new(scram.Memory)
	s := scram.NewService(store, cheap())
	if err := s.Create(t.Context(), serviceAccount, servicePassword); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), serviceAccount); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Credentials(t.Context(), serviceAccount); !errors.Is(err, scram.ErrNoAccount) {
		t.Errorf("credentials: %v", err)
	}
}
