package carbons_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
)

func Example() {
	m, err := mux.New(nil, nil, carbons.New(nil)) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// FromAccount message observe: carbons
	// ToAccount message modify: carbons
	// ToAccount message observe: carbons
	// AtSelf iq set {urn:xmpp:carbons:2}enable: carbons
	// AtSelf iq set {urn:xmpp:carbons:2}disable: carbons
	// AtSelf iq set {urn:xmpp:carbons:2}: carbons
	// AtSelf iq get {urn:xmpp:carbons:2}: carbons
	// AtAccount iq set {urn:xmpp:carbons:2}enable: carbons
	// AtAccount iq set {urn:xmpp:carbons:2}disable: carbons
	// Disco AtHost: carbons
	// Inline {urn:xmpp:carbons:2}enable: carbons
}

func ExampleUnwrap() {
	own := mux.MustParseAddress("romeo@example.net/orchard")
	for _, from := range []string{"romeo@example.net", "tybalt@example.org/street"} {
		s, err := mux.Parse([]byte("<message type='chat' from='" + from + "'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" +
			"<message xmlns='jabber:client' type='chat' from='juliet@example.org/balcony' to='romeo@example.net/home'><body>Who?</body></message></forwarded></received></message>"))
		if err != nil {
			fmt.Println(err)
			return
		}
		c, err := carbons.Unwrap(s, own)
		switch {
		case errors.Is(err, carbons.ErrNoCopy):
			fmt.Println("an ordinary message")
		case err != nil:
			fmt.Println("ignored:", err)
		default:
			fmt.Println(c.Direction, "from", c.Message.From())
		}
	}
	// Output:
	// received from juliet@example.org/balcony
	// ignored: carbons: copy by somebody else
}

func ExampleNewClient() {
	show := func(_ context.Context, _ *mux.Event, c carbons.Copy) {
		fmt.Println(c.Direction, c.Message.From())
	}
	x := carbons.NewClient(show, nil)
	fmt.Println(x.Name(), x.Enabled()) // give it to mux.NewClientSession, before others
	// Output: carbons false
}
