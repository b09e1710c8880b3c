package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/roster"
)

// patience bounds what a test waits for that should happen at once.
const patience = 30 * time.Second

// suite applies writes and waits until they are durable.
type suite struct {
	Store
	ended chan result
}

// result is the end of one batch.
type result struct {
	batch uint64
	err   error
}

func start(s Store) *suite {
	st := &suite{Store: s, ended: make(chan result, 16)}
	if s.Committer != nil {
		s.Committer.Notify(func(batch uint64, err error) { st.ended <- result{batch, err} })
	}
	return st
}

// apply makes one batch of the writes.
func (s *suite) apply(t *testing.T, writes ...mux.Write) {
	t.Helper()
	if s.Committer == nil {
		for _, w := range writes {
			if err := w(t.Context(), nil); err != nil {
				t.Fatalf("write: %v", err)
			}
		}
		return
	}
	want := s.Committer.Submit(writes)
	late := time.After(patience)
	for {
		select {
		case r := <-s.ended:
			if r.err != nil {
				t.Fatalf("batch %d: %v", r.batch, r.err)
			}
			if r.batch >= want {
				return
			}
		case <-late:
			t.Fatalf("batch %d did not end", want)
		}
	}
}

func (s *suite) load(t *testing.T, account mux.Address) roster.Roster {
	t.Helper()
	r, err := s.Load(t.Context(), account)
	if err != nil {
		t.Fatalf("Load(%v): %v", account, err)
	}
	return r
}

// want compares what is kept of an account; items and their order are free.
func (s *suite) want(t *testing.T, account mux.Address, ver uint64, removed []roster.Tombstone, items ...roster.Item) {
	t.Helper()
	r := s.load(t, account)
	if r.Ver != ver {
		t.Errorf("got version %d, want %d", r.Ver, ver)
	}
	if !slices.Equal(r.Removed, removed) {
		t.Errorf("got tombstones %v, want %v", r.Removed, removed)
	}
	byAddress := func(a, b roster.Item) int { return strings.Compare(a.JID.String(), b.JID.String()) }
	items = slices.Clone(items)
	slices.SortFunc(r.Items, byAddress)
	slices.SortFunc(items, byAddress)
	if len(r.Items) != len(items) {
		t.Errorf("got %d items, want %d", len(r.Items), len(items))
		return
	}
	for i, want := range items {
		if !equal(r.Items[i], want) {
			t.Errorf("got item %+v, want %+v", r.Items[i], want)
			return // one will do
		}
	}
}

func equal(a, b roster.Item) bool {
	return a.JID == b.JID && a.Name == b.Name && slices.Equal(a.Groups, b.Groups) && a.Subscription == b.Subscription &&
		a.Ask == b.Ask && a.Approved == b.Approved && a.In == b.In && a.Asked.Equal(b.Asked) && a.Asked.IsZero() == b.Asked.IsZero() && a.Listed == b.Listed && a.Ver == b.Ver
}

// full is an item with a value in every field.
func full(contact mux.Address, ver uint64) roster.Item {
	return roster.Item{
		JID: contact, Name: "Näme <&'\"> 🐝", Groups: []string{"Zoo", "a,b\"]\n\\", "Ärzte"},
		Subscription: roster.Both, Ask: true, Approved: true, Listed: true,
		Asked: time.UnixMicro(1_700_000_000_123_456),
		In:    "<presence type='subscribe' from='romeo@example.org'><status>é</status></presence>", Ver: ver,
	}
}

// numbered is the address of one of many contacts.
func numbered(i int) mux.Address {
	digits := []byte{byte('0' + i/1000%10), byte('0' + i/100%10), byte('0' + i/10%10), byte('0' + i%10)}
	return mux.MustParseAddress("contact" + string(digits) + "@example.org")
}
