package presence_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
)

func addr(s string) mux.Address { return mux.MustParseAddress(s) }

// keeper keeps sessions without a stream for an hour.
type keeper struct{}

func (keeper) Name() string { return "keeper" }

func (keeper) Register(r *mux.Registry) error {
	r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return time.Hour }})
	return nil
}

// filled is a store in which juliet, nurse and romeo of example.net have contacts.
func filled(t testing.TB) *roster.Memory {
	store := new(roster.Memory)
	for _, i := range []struct {
		account, contact string
		sub              roster.Subscription
	}{
		{"juliet@example.net", "both@example.org", roster.Both},
		{"juliet@example.net", "from@example.org", roster.From},
		{"juliet@example.net", "none@example.org", roster.None},
		{"juliet@example.net", "to@example.org", roster.To},
		{"juliet@example.net", "nurse@example.net", roster.Both},
		{"juliet@example.net", "gone@example.net", roster.Both},
		{"juliet@example.net", "example.com", roster.From},
		{"nurse@example.net", "juliet@example.net", roster.Both},
	} {
		w := store.Put(addr(i.account), roster.Item{JID: addr(i.contact), Subscription: i.sub, Listed: true, Ver: 1})
		if err := w(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func extensions(store roster.Store, o *presence.Options) []mux.Extension {
	x := roster.New(store, nil)
	return []mux.Extension{x, presence.New(x, o)}
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(t *testing.T) muxtest.Config {
		store := filled(t)
		return muxtest.Config{
			Options: mux.Options{Committer: new(muxtest.Committer), NoRecover: true},
			Extensions: func() []mux.Extension {
				return extensions(store, &presence.Options{MaxDirected: 3})
			},
		}
	})
}

func Example() {
	contacts := roster.New(new(roster.Memory), nil)
	m, err := mux.New(nil, nil, contacts, presence.New(contacts, nil)) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// FromPeer presence guard: presence
	// FromPeer presence observe: roster, presence
	// FromAccount presence modify: roster
	// ToAccount presence modify: roster, presence
	// AtSelf iq get {jabber:iq:roster}query: roster
	// AtSelf iq set {jabber:iq:roster}query: roster
	// AtAccount iq get {jabber:iq:roster}query: roster
	// AtAccount iq set {jabber:iq:roster}query: roster
	// Lifecycle: presence
	// Disco AtHost: roster
	// Feature roster versioning: roster
	// Feature subscription pre-approval: roster
}
