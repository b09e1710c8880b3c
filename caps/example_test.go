package caps_test

import (
	"context"
	"fmt"
	"os"

	"mellium.im/xmpp"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/roster"
)

func Example() {
	contacts := roster.New(new(roster.Memory), nil)
	known := caps.New(new(caps.Memory), &caps.Options{
		Subscription: contacts.Subscription,
		Waits:        func(e *mux.Event) bool { return !contacts.Cached(e) },
		Changed: func(_ context.Context, _ *mux.Event, who mux.Address, notify []string) {
			fmt.Println(who, "wants", notify)
		},
	})
	m, err := mux.New(nil, nil, known) // a real one has a host, and contacts
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// FromPeer presence observe: caps
	// ToAccount presence modify: caps
	// Lifecycle: caps
	// Disco AtHost: caps
}

func ExampleAnnouncer() {
	a := &caps.Announcer{Node: "http://code.google.com/p/exodus"}
	i := &caps.Info{
		Identities: []caps.Identity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}},
		Features: []string{"http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#info",
			"http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/muc"},
	}
	if _, err := a.Set(i); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Presence())
	query, ok := a.Answer("http://code.google.com/p/exodus#QgayPKawpkPSDYmwT/WM94uAlu0=")
	fmt.Println(len(query) > 0, ok)
	// Output:
	// <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.google.com/p/exodus' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/><c xmlns='urn:xmpp:caps'><hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>CYEpCSTmIyvtrwic1NPddIpuV44E9NGYGaZx1kYKFoE=</hash><hash xmlns='urn:xmpp:hashes:2' algo='sha3-256'>/fOmdIBCqXbCjeHTHaKCnW90b5+dHiZpFuN97rpwMd8=</hash></c>
	// true true
}

func ExampleVerify() {
	i := &caps.Info{
		Identities: []caps.Identity{{Category: "client", Type: "bot", Name: "scansion"}},
		Features:   []string{"http://jabber.org/protocol/disco#info", "urn:xmpp:bookmarks:1+notify"},
	}
	fmt.Println(caps.Verify(i, caps.Hash{Proto: caps.XEP0115, Algo: "sha-1", Value: "CPuQARM1gCTq2f6/ZjHUzWL2QHg="}))
	i.Features = i.Features[:1]
	fmt.Println(caps.Verify(i, caps.Hash{Proto: caps.XEP0115, Algo: "sha-1", Value: "CPuQARM1gCTq2f6/ZjHUzWL2QHg="}) != nil)
	// Output:
	// <nil>
	// true
}

// A client whose presence says what it watches, also when that changes.
func ExampleClient() {
	run := func(ctx context.Context, session *xmpp.Session) error {
		var me *caps.Client
		events := pep.NewClient(session, &pep.ClientOptions{Changed: func() { _ = me.Update(ctx) }})
		defer events.Close()
		me = caps.NewClient(session, caps.ClientOptions{
			Node:     "https://bot.example",
			Info:     caps.Info{Identities: []caps.Identity{{Category: "client", Type: "bot", Name: "Bot"}}},
			Features: events.Features,
		})
		served := make(chan error)
		go func() { served <- session.Serve(xmppmux.New(stanza.NSClient, events.Handle(), me.Handle())) }()
		_, err := events.Watch(pep.Watch{Node: "urn:example:mood", From: pep.FromContacts, Handle: func(_ context.Context, e pep.Event) {
			fmt.Println(e.From, e.Item.Payload)
		}})
		if err != nil {
			return err
		}
		if err := me.Send(ctx, stanza.Presence{}.Wrap(nil)); err != nil {
			return err
		}
		return <-served
	}
	_ = run
	// Output:
}
