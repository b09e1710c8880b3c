package archive_test

import (
	"context"
	"fmt"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
)

// The smallest assembly; sqlstore keeps archives over restarts.
func Example() {
	store := new(archive.Memory)
	m, err := mux.New(nil, nil, archive.New(store, &archive.Options{Prefs: store})) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	q := &mux.DiscoQuery{Scope: mux.AtSelf}
	fmt.Println(m.Disco(context.Background(), q), q.Features[0])
	// Output: <nil> urn:xmpp:mam:2
}

// A client goes back through its conversation with somebody, newest message first.
func ExampleClient() {
	conversation := func(ctx context.Context, s *xmpp.Session, c *archive.Client, with jid.JID) error {
		for m, err := range c.Messages(ctx, s, archive.Request{With: with, Backward: true}) {
			if err != nil {
				return err
			}
			fmt.Println(m.At, m.ID, m.Stanza.From())
		}
		return nil
	}
	_ = conversation
	// Output:
}
