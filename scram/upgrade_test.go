package scram_test

import (
	"context"
	"crypto/pbkdf2"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

const upgrade512, upgrade256 = "UPGR-SCRAM-SHA-512", "UPGR-SCRAM-SHA-256"

// TestUpgrades: UG-1, the hashes that an account lacks; PW-13.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	sha1, all := []scram.Hash{scram.SHA1}, scram.Hashes()
	for _, c := range []struct {
		name    string
		o       scram.Options
		account string
		want    string
	}{
		{"all keys", scram.Options{}, "user", ""},
		{"SHA-1 alone", scram.Options{}, "old", upgrade512 + " " + upgrade256},
		{"disabled", scram.Options{}, "off", ""},
		{"policy of fewer", scram.Options{Policy: scram.Policy{Hashes: []scram.Hash{scram.SHA256, scram.SHA1}}}, "old", upgrade256},
		{"unknown", scram.Options{}, "nobody", ""},
		{"no keys", scram.Options{}, "empty", ""},
		{"unknown among those with SHA-1", scram.Options{HashSets: [][]scram.Hash{sha1, sha1}}, "nobody", upgrade512 + " " + upgrade256},
		{"no keys among those with SHA-1", scram.Options{HashSets: [][]scram.Hash{sha1, {}, {99}}}, "empty", upgrade512 + " " + upgrade256},
		{"known among those with SHA-1", scram.Options{HashSets: [][]scram.Hash{sha1}}, "user", ""},
	} {
		b := newBed(t, c.o)
		got, err := b.Upgrades(t.Context(), c.account+"@"+host)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, %v, want %s", c.name, got, err, c.want)
		}
	}
	// The same name is always told the same, and names are told what real ones are.
	o := scram.Options{Secret: [32]byte{1}, HashSets: [][]scram.Hash{sha1, all, all}}
	one, two := newBed(t, o), newBed(t, o)
	told := make(map[string]int)
	for i := range 300 {
		account := fmt.Sprintf("nobody%d@%s", i, host)
		a, err := one.Upgrades(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := two.Upgrades(t.Context(), account); err != nil || !slices.Equal(a, b) {
			t.Fatalf("%s: got %v, then %v, %v", account, a, b, err)
		}
		told[strings.Join(a, " ")]++
	}
	if n := told[upgrade512+" "+upgrade256]; len(told) != 2 || n < 60 || n > 140 {
		t.Errorf("unknown accounts were told %v", told)
	}
	_, err := scram.New(&brokenStore{Store: one.store, failAt: 1}, nil).Upgrades(t.Context(), "user@"+host)
	wantCondition(t, err, scram.TemporaryAuthFailure)
}

// salted is what a client answers.
func salted(t testing.TB, h scram.Hash, salt []byte, iterations int) []byte {
	t.Helper()
	b, err := pbkdf2.Key(testHashes[h.Mechanism()], "pencil", salt, iterations, h.Size())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestUpgrade: UG-2, both tasks of one login, after which the keys are good for
// SCRAM.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	const account = "old@" + host
	e := b.start(t, "SCRAM-SHA-1")
	if err := (&testClient{mechanism: "SCRAM-SHA-1", password: "pencil", bare: "n=old,r=" + clientNonce}).run(t, e); err != nil {
		t.Fatal(err)
	}
	var salts []string
	for task, h := range map[string]scram.Hash{upgrade512: scram.SHA512, upgrade256: scram.SHA256} {
		salt, iterations, finish, err := b.BeginUpgrade(t.Context(), account, e.Generation(), task)
		if err != nil || len(salt) < 16 || iterations != scram.MinIterations || slices.Contains(salts, string(salt)) {
			t.Fatalf("%s: got a salt of %d octets, %d iterations, %v", task, len(salt), iterations, err)
		}
		salts = append(salts, string(salt))
		if err := finish(t.Context(), salted(t, h, salt, iterations)); err != nil {
			t.Fatalf("%s: %v", task, err)
		}
		wantCondition(t, finish(t.Context(), salted(t, h, salt, iterations)), scram.MalformedRequest)
		_, _, _, err = b.BeginUpgrade(t.Context(), account, e.Generation(), task)
		wantCondition(t, err, scram.MalformedRequest)
		client := &testClient{mechanism: h.Mechanism(), password: "pencil", bare: "n=old,r=" + clientNonce}
		wantCondition(t, client.run(t, b.start(t, h.Mechanism())), "")
	}
	c, err := b.store.Credentials(t.Context(), account)
	if err != nil || c.Generation != e.Generation() || len(c.Keys) != 3 {
		t.Errorf("got generation %d, keys %v, %v; the login had %d", c.Generation, c.Keys, err, e.Generation())
	}
	if got, err := b.Upgrades(t.Context(), account); err != nil || len(got) != 0 {
		t.Errorf("then got tasks %v, %v", got, err)
	}
}

// TestUpgradeRefused: scenario 25. Whatever is wrong, nothing is written, and the
// old key goes on working (UG-5).
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	const account = "old@" + host
	b := newBed(t, scram.Options{Policy: scram.Policy{Hashes: []scram.Hash{scram.SHA256, scram.SHA1}}})
	before, err := b.store.Credentials(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	generation := before.Generation
	off, _ := b.store.Credentials(t.Context(), "off@"+host)
	for _, c := range []struct {
		name, account, task string
		generation          int64
		want                string
	}{
		{"no task", account, "", generation, scram.MalformedRequest},
		{"no such task", account, "UPGR-SCRAM-MD5", generation, scram.MalformedRequest},
		{"mechanism", account, "SCRAM-SHA-256", generation, scram.MalformedRequest},
		{"-PLUS", account, upgrade256 + "-PLUS", generation, scram.MalformedRequest},
		{"hash outside the policy", account, upgrade512, generation, scram.MalformedRequest},
		{"hash that is there", account, "UPGR-SCRAM-SHA-1", generation, scram.MalformedRequest},
		{"another generation", account, upgrade256, generation + 1000, scram.NotAuthorized},
		{"unknown account", "nobody@" + host, upgrade256, 0, scram.NotAuthorized},
		{"disabled account", "off@" + host, upgrade256, off.Generation, scram.AccountDisabled},
	} {
		_, _, finish, err := b.BeginUpgrade(t.Context(), c.account, c.generation, c.task)
		if wantCondition(t, err, c.want); err == nil || finish != nil {
			t.Errorf("%s: it began", c.name)
		}
	}
	for _, n := range []int{0, 1, 31, 33, 1 << 20} {
		_, _, finish, err := b.BeginUpgrade(t.Context(), account, generation, upgrade256)
		if err != nil {
			t.Fatal(err)
		}
		wantCondition(t, finish(t.Context(), make([]byte, n)), scram.MalformedRequest)
		wantCondition(t, finish(t.Context(), make([]byte, 32)), scram.MalformedRequest)
	}
	if after, err := b.store.Credentials(t.Context(), account); err != nil || len(after.Keys) != 1 || after.Generation != generation {
		t.Errorf("got %v, generation %d, %v", after.Keys, after.Generation, err)
	}
	client := &testClient{mechanism: "SCRAM-SHA-1", password: "pencil", bare: "n=old,r=" + clientNonce}
	wantCondition(t, client.run(t, b.start(t, "SCRAM-SHA-1")), "")
}

// TestUpgradeRace: scenario 25, what happened between the salt and the answer wins.
func TestUpgradeRace(t *testing.T) {
	t.Parallel()
	const account = "old@" + host
	strong, err := scram.NewCredentials("another one", quick)
	if err != nil {
		t.Fatal(err)
	}
	for name, meanwhile := range map[string]func(ctx context.Context, s *scram.Memory, generation int64) error{
		"password changed": func(ctx context.Context, s *scram.Memory, generation int64) error {
			_, err := s.Update(ctx, account, generation, scram.Credentials{Keys: strong.Keys[2:]})
			return err
		},
		"removed": func(ctx context.Context, s *scram.Memory, _ int64) error { return s.Remove(ctx, account) },
		"removed and made again": func(ctx context.Context, s *scram.Memory, _ int64) error {
			if err := s.Remove(ctx, account); err != nil {
				return err
			}
			_, err := s.Create(ctx, account, scram.Credentials{})
			return err
		},
		"other upgrade": func(ctx context.Context, s *scram.Memory, generation int64) error {
			return s.AddKey(ctx, account, generation, strong.Keys[0])
		},
	} {
		b := newBed(t, scram.Options{})
		c, err := b.store.Credentials(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		salt, iterations, finish, err := b.BeginUpgrade(t.Context(), account, c.Generation, upgrade512)
		if err != nil {
			t.Fatal(err)
		}
		if err := meanwhile(t.Context(), b.store, c.Generation); err != nil {
			t.Fatal(err)
		}
		wantCondition(t, finish(t.Context(), salted(t, scram.SHA512, salt, iterations)), scram.NotAuthorized)
		after, _ := b.store.Credentials(t.Context(), account)
		if k, ok := after.Key(scram.SHA512); ok && !k.Equal(strong.Keys[0]) {
			t.Errorf("%s: a key was written", name)
		}
	}
}

// TestUpgradeStoreDown: scenario 38, at each step.
func TestUpgradeStoreDown(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	c, err := b.store.Credentials(t.Context(), "old@"+host)
	if err != nil {
		t.Fatal(err)
	}
	s := &brokenStore{Store: b.store, failAt: 1, updateErr: errStore}
	a := scram.New(s, &scram.Options{Policy: quick})
	_, _, _, err = a.BeginUpgrade(t.Context(), "old@"+host, c.Generation, upgrade512)
	wantCondition(t, err, scram.TemporaryAuthFailure)
	_, _, finish, err := a.BeginUpgrade(t.Context(), "old@"+host, c.Generation, upgrade512)
	if err != nil {
		t.Fatal(err)
	}
	wantCondition(t, finish(t.Context(), make([]byte, 64)), scram.TemporaryAuthFailure)
	if after, err := b.store.Credentials(t.Context(), "old@"+host); err != nil || len(after.Keys) != 1 {
		t.Errorf("got %v, %v", after.Keys, err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	for name, want := range map[string]struct{ disabled, exists bool }{"user": {false, true}, "off": {true, true}, "closing": {true, true}, "empty": {false, true}, "nobody": {}} {
		c, _ := b.store.Credentials(t.Context(), name+"@"+host)
		generation, disabled, exists, err := b.Status(t.Context(), name+"@"+host)
		if err != nil || generation != c.Generation || disabled != want.disabled || exists != want.exists {
			t.Errorf("%s: got %d, %v, %v, %v", name, generation, disabled, exists, err)
		}
	}
	_, _, _, err := scram.New(&brokenStore{Store: b.store, failAt: 1}, nil).Status(t.Context(), "user@"+host)
	wantCondition(t, err, scram.TemporaryAuthFailure)
}
