package pep_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// What a client does in a session: it watches a node, says so in its presence, and
// publishes.
func ExampleClient() {
	run := func(ctx context.Context, session *xmpp.Session, presence func(features []string)) error {
		var c *pep.Client
		c = pep.NewClient(session, &pep.ClientOptions{
			Contact: func(jid.JID) bool { return false }, // asks the roster
			Changed: func() { presence(c.Features()) },   // with their hash
		})
		defer c.Close()
		_, err := c.Watch(pep.Watch{Node: "urn:example:mood", From: pep.FromContacts, Handle: func(_ context.Context, e pep.Event) {
			if !e.Known {
				fmt.Println(e.From, e.Kind, e.Item.Payload)
			}
		}})
		if err != nil {
			return err
		}
		served := make(chan error)
		go func() { served <- session.Serve(xmppmux.New(stanza.NSClient, c.Handle())) }()
		_, err = c.Publish(ctx, "urn:example:mood", "current", mux.Raw("<mood xmlns='urn:example:mood'>fair</mood>"),
			&pep.NodeOptions{Access: pep.AccessPresence, Persist: pep.Yes, Repair: pep.RepairNode})
		if errors.Is(err, pep.ErrPreconditionNotMet) {
			fmt.Println("somebody else wants the node to be another")
		}
		return errors.Join(err, <-served)
	}
	_ = run
	// Output:
}

// A client keeps its settings, where only it sees them.
func ExampleTyped() {
	type settings struct {
		XMLName xml.Name `xml:"urn:example:settings settings"`
		Theme   string   `xml:"theme,attr"`
	}
	darken := func(ctx context.Context, c *pep.Client) error {
		s := pep.NewTyped[settings](c, "urn:example:settings", xml.Name{Space: "urn:example:settings", Local: "settings"}, nil)
		return s.Update(ctx, "current", func(v settings, exists bool) (settings, error) {
			v.Theme = "dark"
			return v, nil
		})
	}
	_ = darken
	// Output:
}
