package lastactivity_test

import (
	"context"
	"fmt"
	"os"

	"github.com/propolis-im/propolis/lastactivity"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/roster"
)

func Example() {
	contacts := roster.New(new(roster.Memory), nil)
	last := lastactivity.New(new(lastactivity.Memory), &lastactivity.Options{
		MaySee: func(ctx context.Context, e *mux.Event, _, from mux.Address) bool {
			sees, _ := contacts.Subscription(ctx, e, from)
			return sees
		},
		Waits: func(e *mux.Event) bool { return !contacts.Cached(e) },
	})
	m, err := mux.New(nil, nil, last) // a real one has a host, and contacts
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// FromPeer presence observe: lastactivity
	// ToAccount iq guard: lastactivity
	// AtHost iq get {jabber:iq:last}query: lastactivity
	// AtSelf iq get {jabber:iq:last}query: lastactivity
	// AtAccount iq get {jabber:iq:last}query: lastactivity
	// Lifecycle: lastactivity
	// Disco AtHost: lastactivity
	// Disco AtSelf: lastactivity
	// Disco AtAccount: lastactivity
}
