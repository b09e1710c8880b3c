// Package storetest checks implementations of the stores that package scram
// declares. It is for the tests of such implementations.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/propolis-im/propolis/scram"
)

// Store is what is tested: both halves of a store.
type Store interface {
	scram.Store
	scram.Accounts
}

// Test runs all checks, also those of a [scram.HashCounter] if it is one. Each opens a store of its own, which must be empty
// and is cleaned up by what open registers with t.Cleanup. Times may be kept
// to the second.
func Test(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s Store)
	}{
		{"create then look up", testCreate},
		{"unknown account", testUnknown},
		{"create twice", testCreateTwice},
		{"names are exact", testNames},
		{"update", testUpdate},
		{"update from an old generation", testConflict},
		{"add a key", testAddKey},
		{"renew keys", testRenew},
		{"no keys", testNoKeys},
		{"remove then create again", testRemove},
		{"values are copied", testCopies},
		{"created is kept", testTimes},
		{"context ended", testContext},
		{"concurrent updates", testConcurrentUpdate},
		{"concurrent creates", testConcurrentCreate},
		{"concurrent additions", testConcurrentAdd},
		{"together with something else", testAlso},
		{"closing", testClosing},
		{"counts of hashes", testHashCounts},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

const account = "juliet@example.net"

// key returns a key whose every octet is derived from seed.
func key(h scram.Hash, seed byte) scram.Key {
	return scram.Key{
		Hash:       h,
		Salt:       bytes.Repeat([]byte{seed}, scram.DefaultSaltLength),
		Iterations: scram.MinIterations + int(seed),
		StoredKey:  bytes.Repeat([]byte{seed + 1}, h.Size()),
		ServerKey:  bytes.Repeat([]byte{seed + 2}, h.Size()),
	}
}

// sample returns credentials with a key for every hash.
func sample(seed byte) scram.Credentials {
	var c scram.Credentials
	for _, h := range scram.Hashes() {
		c.Keys = append(c.Keys, key(h, seed))
	}
	return c
}

func create(t *testing.T, s Store, name string, c scram.Credentials) int64 {
	t.Helper()
	generation, err := s.Create(t.Context(), name, c)
	if err != nil {
		t.Fatalf("Create(%q): %v", name, err)
	}
	return generation
}

func lookup(t *testing.T, s Store, name string) scram.Credentials {
	t.Helper()
	c, err := s.Credentials(t.Context(), name)
	if err != nil {
		t.Fatalf("Credentials(%q): %v", name, err)
	}
	return c
}

// wantKeys compares keys as sets.
func wantKeys(t *testing.T, got, want scram.Credentials) {
	t.Helper()
	if len(got.Keys) != len(want.Keys) {
		t.Fatalf("got %d keys, want %d", len(got.Keys), len(want.Keys))
	}
	for _, w := range want.Keys {
		if g, ok := got.Key(w.Hash); !ok || !g.Equal(w) {
			t.Errorf("key for %v: got %v, want %v, with other octets", w.Hash, g, w)
		}
	}
}

func wantError(t *testing.T, call string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", call, got, want)
	}
}

func testCreate(t *testing.T, s Store) {
	want := sample(1)
	want.Disabled = true
	want.Generation = 77
	generation := create(t, s, account, want)
	got := lookup(t, s, account)
	wantKeys(t, got, want)
	if !got.Disabled {
		t.Error("Disabled was lost")
	}
	if got.Generation != generation {
		t.Errorf("got generation %d, Create returned %d", got.Generation, generation)
	}
	if got.Created.IsZero() || got.Updated.IsZero() {
		t.Errorf("times were not set: created %v, updated %v", got.Created, got.Updated)
	}
}

func testUnknown(t *testing.T, s Store) {
	_, err := s.Credentials(t.Context(), account)
	wantError(t, "Credentials", err, scram.ErrNoAccount)
	_, err = s.Update(t.Context(), account, 1, sample(1))
	wantError(t, "Update", err, scram.ErrNoAccount)
	wantError(t, "Remove", s.Remove(t.Context(), account), scram.ErrNoAccount)
}

func testCreateTwice(t *testing.T, s Store) {
	generation := create(t, s, account, sample(1))
	_, err := s.Create(t.Context(), account, sample(2))
	wantError(t, "second Create", err, scram.ErrExists)
	got := lookup(t, s, account)
	wantKeys(t, got, sample(1))
	if got.Generation != generation {
		t.Error("a refused Create changed the generation")
	}
}

func testNames(t *testing.T, s Store) {
	names := []string{account, "Juliet@example.net", "juliet@example.org", "juliet", "j%liet@example.net", "\u00e9@example.net", "e\u0301@example.net"}
	for i, name := range names {
		create(t, s, name, sample(byte(i)))
	}
	for i, name := range names {
		wantKeys(t, lookup(t, s, name), sample(byte(i)))
	}
	if err := s.Remove(t.Context(), names[0]); err != nil {
		t.Fatal(err)
	}
	for i, name := range names[1:] {
		wantKeys(t, lookup(t, s, name), sample(byte(i+1)))
	}
}

func testUpdate(t *testing.T, s Store) {
	from := create(t, s, account, sample(1))
	create(t, s, "romeo@example.net", sample(9))
	want := scram.Credentials{Keys: []scram.Key{key(scram.SHA256, 5)}, Disabled: true, Generation: from}
	generation, err := s.Update(t.Context(), account, from, want)
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	got := lookup(t, s, account)
	wantKeys(t, got, want)
	if !got.Disabled || got.Generation != generation || generation == from {
		t.Errorf("got disabled %v, generation %d; Update returned %d after %d", got.Disabled, got.Generation, generation, from)
	}
	wantKeys(t, lookup(t, s, "romeo@example.net"), sample(9))
}

func testConflict(t *testing.T, s Store) {
	from := create(t, s, account, sample(1))
	current, err := s.Update(t.Context(), account, from, sample(2))
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	for _, old := range []int64{from, 0, current + 1} {
		_, err := s.Update(t.Context(), account, old, sample(3))
		wantError(t, "Update from an old generation", err, scram.ErrConflict)
	}
	got := lookup(t, s, account)
	wantKeys(t, got, sample(2))
	if got.Generation != current {
		t.Error("a refused Update changed the generation")
	}
}

// testAddKey: only the hash that was missing, and only for the password it is of.
func testAddKey(t *testing.T, s Store) {
	wantError(t, "AddKey without an account", s.AddKey(t.Context(), account, 1, key(scram.SHA1, 1)), scram.ErrNoAccount)
	from := create(t, s, account, scram.Credentials{Keys: []scram.Key{key(scram.SHA1, 1)}, Disabled: true})
	create(t, s, "romeo@example.net", scram.Credentials{})
	wantError(t, "AddKey for a hash that is there", s.AddKey(t.Context(), account, from, key(scram.SHA1, 2)), scram.ErrConflict)
	for _, old := range []int64{0, from + 1000} {
		wantError(t, "AddKey from another generation", s.AddKey(t.Context(), account, old, key(scram.SHA256, 2)), scram.ErrConflict)
	}
	given := key(scram.SHA256, 2)
	if err := s.AddKey(t.Context(), account, from, given); err != nil {
		t.Fatalf("AddKey: %v", err)
	}
	given.StoredKey[0] ^= 0xff
	got := lookup(t, s, account)
	wantKeys(t, got, scram.Credentials{Keys: []scram.Key{key(scram.SHA1, 1), key(scram.SHA256, 2)}})
	if got.Generation != from || !got.Disabled {
		t.Errorf("AddKey changed more: generation %d after %d, disabled %v", got.Generation, from, got.Disabled)
	}
	wantKeys(t, lookup(t, s, "romeo@example.net"), scram.Credentials{})
	if _, err := s.Update(t.Context(), account, from, sample(3)); err != nil {
		t.Fatalf("Update: %v", err)
	}
	wantError(t, "AddKey after a change", s.AddKey(t.Context(), account, from, key(scram.SHA512, 2)), scram.ErrConflict)
	wantKeys(t, lookup(t, s, account), sample(3))
}

// testRenew: keys for some hashes, and only of the password that is in force.
func testRenew(t *testing.T, s Store) {
	wantError(t, "Renew without an account", s.Renew(t.Context(), account, 1, []scram.Key{key(scram.SHA1, 1)}), scram.ErrNoAccount)
	from := create(t, s, account, scram.Credentials{Keys: []scram.Key{key(scram.SHA1, 1), key(scram.SHA256, 1)}, Disabled: true})
	create(t, s, "romeo@example.net", sample(9))
	given := []scram.Key{key(scram.SHA256, 2), key(scram.SHA512, 2)}
	for _, old := range []int64{0, from + 1000} {
		wantError(t, "Renew from another generation", s.Renew(t.Context(), account, old, given), scram.ErrConflict)
	}
	if err := s.Renew(t.Context(), account, from, given); err != nil {
		t.Fatalf("Renew: %v", err)
	}
	given[0].StoredKey[0] ^= 0xff
	got := lookup(t, s, account)
	wantKeys(t, got, scram.Credentials{Keys: []scram.Key{key(scram.SHA1, 1), key(scram.SHA256, 2), key(scram.SHA512, 2)}})
	if got.Generation != from || !got.Disabled {
		t.Errorf("Renew changed more: generation %d after %d, disabled %v", got.Generation, from, got.Disabled)
	}
	wantKeys(t, lookup(t, s, "romeo@example.net"), sample(9))
	if _, err := s.Update(t.Context(), account, from, sample(3)); err != nil {
		t.Fatalf("Update: %v", err)
	}
	wantError(t, "Renew after a change", s.Renew(t.Context(), account, from, given), scram.ErrConflict)
	wantKeys(t, lookup(t, s, account), sample(3))
}

func testNoKeys(t *testing.T, s Store) {
	from := create(t, s, account, scram.Credentials{})
	wantKeys(t, lookup(t, s, account), scram.Credentials{})
	from, err := s.Update(t.Context(), account, from, sample(1))
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	if _, err := s.Update(t.Context(), account, from, scram.Credentials{}); err != nil {
		t.Fatalf("Update: %v", err)
	}
	wantKeys(t, lookup(t, s, account), scram.Credentials{})
}

// testRemove checks that what was read before a removal cannot be written to
// whoever has the name afterwards.
func testRemove(t *testing.T, s Store) {
	seen := []int64{create(t, s, account, sample(1))}
	for i := range byte(3) {
		if err := s.Remove(t.Context(), account); err != nil {
			t.Fatalf("Remove: %v", err)
		}
		_, err := s.Credentials(t.Context(), account)
		wantError(t, "Credentials after Remove", err, scram.ErrNoAccount)
		generation := create(t, s, account, sample(2+i))
		if slices.Contains(seen, generation) {
			t.Fatalf("generation %d came back after %v", generation, seen)
		}
		for _, old := range seen {
			_, err = s.Update(t.Context(), account, old, sample(9))
			wantError(t, "Update from before Remove", err, scram.ErrConflict)
		}
		wantKeys(t, lookup(t, s, account), sample(2+i))
		seen = append(seen, generation)
	}
}

func testCopies(t *testing.T, s Store) {
	given := sample(1)
	from := create(t, s, account, given)
	given.Keys[0].Salt[0] ^= 0xff
	given.Keys[1] = key(scram.SHA1, 7)
	wantKeys(t, lookup(t, s, account), sample(1))
	given = sample(2)
	if _, err := s.Update(t.Context(), account, from, given); err != nil {
		t.Fatal(err)
	}
	given.Keys[0].StoredKey[0] ^= 0xff
	wantKeys(t, lookup(t, s, account), sample(2))
}

func testTimes(t *testing.T, s Store) {
	imported := sample(1)
	imported.Created = time.Date(2019, 3, 4, 5, 6, 7, 0, time.UTC)
	from := create(t, s, account, imported)
	first := lookup(t, s, account)
	if !first.Created.Equal(imported.Created) {
		t.Errorf("Create: got created %v, want %v", first.Created, imported.Created)
	}
	if !first.Updated.After(imported.Created) {
		t.Errorf("Create: got updated %v, want now", first.Updated)
	}
	changed := sample(2)
	changed.Created = imported.Created.AddDate(1, 0, 0)
	if _, err := s.Update(t.Context(), account, from, changed); err != nil {
		t.Fatal(err)
	}
	second := lookup(t, s, account)
	if !second.Created.Equal(imported.Created) || second.Updated.Before(first.Updated) {
		t.Errorf("Update: got created %v, updated %v after %v", second.Created, second.Updated, first.Updated)
	}
}

func testContext(t *testing.T, s Store) {
	from := create(t, s, account, sample(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Credentials(ctx, account)
	wantError(t, "Credentials", err, context.Canceled)
	_, err = s.Update(ctx, account, from, sample(2))
	wantError(t, "Update", err, context.Canceled)
	_, err = s.Create(ctx, "romeo@example.net", sample(2))
	wantError(t, "Create", err, context.Canceled)
	wantError(t, "Remove", s.Remove(ctx, account), context.Canceled)
	wantError(t, "Renew", s.Renew(ctx, "romeo@example.net", from, []scram.Key{key(scram.SHA1, 2)}), context.Canceled)
	wantError(t, "AddKey", s.AddKey(ctx, "romeo@example.net", from, key(scram.SHA1, 2)), context.Canceled)
	wantKeys(t, lookup(t, s, account), sample(1))
}

// race runs f in many goroutines at once and returns how many had no error;
// the others must have failed with lost.
func race(t *testing.T, lost error, f func(i byte) error) (won []byte) {
	t.Helper()
	var (
		wg sync.WaitGroup
		mu sync.Mutex // guards won
	)
	start := make(chan struct{})
	for i := range byte(8) {
		wg.Go(func() {
			<-start
			switch err := f(i); {
			case err == nil:
				mu.Lock()
				won = append(won, i)
				mu.Unlock()
			case !errors.Is(err, lost):
				t.Errorf("got error %v, want %v", err, lost)
			}
		})
	}
	close(start)
	wg.Wait()
	return won
}

func testConcurrentUpdate(t *testing.T, s Store) {
	from := create(t, s, account, sample(100))
	for range 20 {
		won := race(t, scram.ErrConflict, func(i byte) error {
			_, err := s.Update(t.Context(), account, from, sample(i))
			return err
		})
		if len(won) != 1 {
			t.Fatalf("%d updates from one generation succeeded, want 1", len(won))
		}
		got := lookup(t, s, account)
		wantKeys(t, got, sample(won[0]))
		from = got.Generation
	}
}

func testConcurrentCreate(t *testing.T, s Store) {
	for range 20 {
		won := race(t, scram.ErrExists, func(i byte) error {
			_, err := s.Create(t.Context(), account, sample(i))
			return err
		})
		if len(won) != 1 {
			t.Fatalf("%d creates of one name succeeded, want 1", len(won))
		}
		wantKeys(t, lookup(t, s, account), sample(won[0]))
		if err := s.Remove(t.Context(), account); err != nil {
			t.Fatal(err)
		}
	}
}

func testConcurrentAdd(t *testing.T, s Store) {
	from := create(t, s, account, scram.Credentials{})
	for _, h := range scram.Hashes() {
		won := race(t, scram.ErrConflict, func(i byte) error { return s.AddKey(t.Context(), account, from, key(h, i)) })
		if len(won) != 1 {
			t.Fatalf("%d keys for one hash were added, want 1", len(won))
		}
		if got, ok := lookup(t, s, account).Key(h); !ok || !got.Equal(key(h, won[0])) {
			t.Errorf("key for %v: got %v", h, got)
		}
	}
}
