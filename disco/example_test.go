package disco_test

import (
	"context"
	"fmt"
	"os"

	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/mux"
)

func Example() {
	subscribed := func(_ context.Context, _ *mux.Event, account, from mux.Address) bool {
		return false // the roster knows
	}
	m, err := mux.New(nil, nil, disco.New(&disco.Options{ // a real one has a host
		Name:     "example.net",
		Contacts: &disco.Contacts{Abuse: []string{"mailto:abuse@example.net"}},
		MaySee:   subscribed,
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// AtHost iq get {http://jabber.org/protocol/disco#info}query: disco
	// AtHost iq get {http://jabber.org/protocol/disco#items}query: disco
	// AtSelf iq get {http://jabber.org/protocol/disco#info}query: disco
	// AtSelf iq get {http://jabber.org/protocol/disco#items}query: disco
	// AtAccount iq get {http://jabber.org/protocol/disco#info}query: disco
	// AtAccount iq get {http://jabber.org/protocol/disco#items}query: disco
	// Disco AtHost: disco
	// Disco AtSelf: disco
	// Disco AtAccount: disco
	// Feature caps: disco
}
