package roster_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
)

var (
	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.org")
)

// extensions are roster and presence, as they are put together.
func extensions(store roster.Store, o *roster.Options) []mux.Extension {
	x := roster.New(store, o)
	return []mux.Extension{x, presence.New(x, nil)}
}

// apply makes writes at once.
func apply(t testing.TB, writes ...mux.Write) {
	t.Helper()
	for _, w := range writes {
		if err := w(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// kept is what a store has of an account.
func kept(t testing.TB, s roster.Store, account mux.Address) roster.Roster {
	t.Helper()
	r, err := s.Load(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		store := new(roster.Memory)
		return muxtest.Config{
			Options: mux.Options{Committer: new(muxtest.Committer), NoRecover: true},
			Extensions: func() []mux.Extension {
				return extensions(store, &roster.Options{MaxName: 40, MaxGroups: 3, MaxItems: 3})
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
