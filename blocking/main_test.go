package blocking_test

import (
	"encoding/xml"
	"fmt"
	"os"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/blocking/storetest"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
)

const (
	julietFull = "juliet@example.net/balcony"
	romeoFull  = "romeo@example.org/orchard"
)

var juliet = addr("juliet@example.net")

func addr(s string) mux.Address { return mux.MustParseAddress(s) }

// toy is an extension made of its registrations.
type toy struct {
	name string
	f    func(r *mux.Registry)
}

func (x toy) Name() string { return x.name }

func (x toy) Register(r *mux.Registry) error {
	x.f(r)
	return nil
}

// keeper keeps sessions without a stream for an hour.
func keeper() mux.Extension {
	return toy{"keeper", func(r *mux.Registry) {
		r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return time.Hour }})
	}}
}

// apply makes writes of stores in memory.
func apply(t testing.TB, writes ...mux.Write) {
	t.Helper()
	for _, w := range writes {
		if err := w(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// blocks is a store in which juliet has blocked addresses.
func blocks(t testing.TB, items ...string) *blocking.Memory {
	store := new(blocking.Memory)
	var list []mux.Address
	for _, i := range items {
		list = append(list, addr(i))
	}
	if len(list) > 0 {
		apply(t, store.Add(juliet, list))
	}
	return store
}

func kept(t testing.TB, store blocking.Store) string {
	t.Helper()
	list, err := store.Load(t.Context(), juliet)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(list)
}

// contacts is a store in which juliet has contacts, and nurse has her.
func contacts(t testing.TB) *roster.Memory {
	store := new(roster.Memory)
	for _, i := range []struct {
		account, contact string
		sub              roster.Subscription
	}{
		{"juliet@example.net", "romeo@example.org", roster.Both},
		{"juliet@example.net", "paris@example.org", roster.From},
		{"juliet@example.net", "tybalt@example.org", roster.To},
		{"juliet@example.net", "friar@example.com", roster.Both},
		{"juliet@example.net", "nurse@example.net", roster.Both},
		{"juliet@example.net", "example.net", roster.Both},
		{"nurse@example.net", "juliet@example.net", roster.Both},
	} {
		apply(t, store.Put(addr(i.account), roster.Item{JID: addr(i.contact), Subscription: i.sub, Listed: true, Ver: 1}))
	}
	return store
}

// im are the extensions of an assembly, with the subscriptions of a store.
func im(store blocking.Store, o *blocking.Options, rosters roster.Store) []mux.Extension {
	r := roster.New(rosters, nil)
	return []mux.Extension{blocking.New(store, o), r, presence.New(r, nil), keeper()}
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(t *testing.T) muxtest.Config {
		store, rosters, sessions := new(blocking.Memory), contacts(t), new(mux.MemorySessions)
		return muxtest.Config{
			Options: mux.Options{Committer: new(muxtest.Committer), Sessions: sessions, NoRecover: true},
			Extensions: func() []mux.Extension {
				return im(store, &blocking.Options{MaxItems: 6}, rosters)
			},
		}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store { return storetest.Store{Store: new(blocking.Memory)} })
}

func Example() {
	contacts := roster.New(new(roster.Memory), nil)
	blocked := blocking.New(new(blocking.Memory), nil)
	// A real one has a host, and everything that stores or copies behind blocked.
	m, err := mux.New(nil, nil, blocked, contacts, presence.New(contacts, nil))
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// FromPeer message guard: blocking
	// FromPeer presence guard: blocking, presence
	// FromPeer presence observe: roster, presence
	// FromPeer iq guard: blocking
	// FromAccount message guard: blocking
	// FromAccount presence guard: blocking
	// FromAccount presence modify: roster
	// FromAccount iq guard: blocking
	// ToAccount message guard: blocking
	// ToAccount presence guard: blocking
	// ToAccount presence modify: roster, presence
	// ToAccount iq guard: blocking
	// AtSelf iq get {urn:xmpp:blocking}blocklist: blocking
	// AtSelf iq set {urn:xmpp:blocking}block: blocking
	// AtSelf iq set {urn:xmpp:blocking}unblock: blocking
	// AtSelf iq get {jabber:iq:roster}query: roster
	// AtSelf iq set {jabber:iq:roster}query: roster
	// AtAccount iq get {jabber:iq:roster}query: roster
	// AtAccount iq set {jabber:iq:roster}query: roster
	// Lifecycle: presence
	// Disco AtHost: blocking
	// Disco AtHost: roster
	// Feature roster versioning: roster
	// Feature subscription pre-approval: roster
}

func ExampleWatch() {
	w := blocking.Watch(jid.MustParse("juliet@example.net/balcony"), func(c blocking.Change) {
		fmt.Println("changed", c.Blocked, c.Addresses) // for example to show it
	})
	// For a session with mellium's own mux; mux.NewClientSession takes w itself.
	h := xmppmux.New(stanza.NSClient, w.Handle())
	_, block := h.IQHandler(stanza.SetIQ, xml.Name{Space: blocking.NS, Local: "block"})
	_, other := h.IQHandler(stanza.SetIQ, xml.Name{Space: blocking.NS, Local: "blocklist"})
	fmt.Println(block, other)
	// Output: true false
}
