package scram_test

import (
	"testing"

	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/scram/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store { return new(scram.Memory) })
}

// TestMemoryResultsAreCopies: a caller that breaks the rule not to modify
// keys must not change what is stored.
func TestMemoryResultsAreCopies(t *testing.T) {
	t.Parallel()
	m := new(scram.Memory)
	k := mustKey(t, keySHA256)
	if _, err := m.Create(t.Context(), "juliet@example.net", scram.Credentials{Keys: []scram.Key{k}}); err != nil {
		t.Fatal(err)
	}
	got, err := m.Credentials(t.Context(), "juliet@example.net")
	if err != nil {
		t.Fatal(err)
	}
	clear(got.Keys[0].StoredKey)
	if got, _ = m.Credentials(t.Context(), "juliet@example.net"); !got.Keys[0].Equal(k) {
		t.Error("the stored key changed")
	}
}
