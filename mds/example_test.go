package mds_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"

	"github.com/propolis-im/propolis/mds"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// The extension stands before those who store and copy messages, and publishes at the
// service of nodes.
func Example() {
	events := pep.New(new(pep.Memory), nil)
	m, err := mux.New(nil, nil, mds.New(events, nil)) // a real one has a host, and events
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// FromPeer message modify: mds
	// Disco AtSelf: mds
	// Disco AtAccount: mds
}

// published stands for a client of package pep.
type published struct{}

func (published) Announces(context.Context, string) (bool, error) { return true, nil }

func (published) EachOwn(context.Context, string, string, func(string, mux.Raw) bool) error {
	return nil
}

func (published) PutOwn(_ context.Context, _, id string, payload mux.Raw) error {
	fmt.Println("published", id, payload)
	return nil
}

func (published) WatchOwn(string, xml.Name, func(ctx context.Context, what, id string, payload mux.Raw)) (func(), error) {
	return func() {}, nil
}

// log is the client's own archive: here all is later than what was there before.
type log struct{}

func (log) Later(mds.Position, string) (later, known bool) { return true, true }

// A chat was displayed, and later on a marker is sent anyway. A real client is made with
// pep.NewClient(session, nil) in place of published.
func ExampleClient() {
	c := mds.NewClient(published{}, log{}, nil)
	defer c.Close()
	p := mds.Position{Chat: mux.MustParseAddress("romeo@example.net"), By: mux.MustParseAddress("juliet@example.net"), ID: "17"}
	c.Displayed(p)
	if err := c.Flush(context.Background()); err != nil {
		fmt.Println(err)
	}
	p.ID = "18"
	if element, ok := c.Assist(context.Background(), p); ok {
		fmt.Println("sent with a marker", element.Raw())
	}
	// Output:
	// published romeo@example.net <displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.net' id='17'/></displayed>
	// sent with a marker <displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.net' id='18'/></displayed>
}
