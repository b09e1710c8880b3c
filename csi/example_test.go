package csi_test

import (
	"encoding/xml"
	"fmt"
	"os"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
)

func Example() {
	m, err := mux.New(nil, nil, csi.New(nil)) // a real one has a host, and Stream Management
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// Nonza {urn:xmpp:csi:0}active: csi
	// Nonza {urn:xmpp:csi:0}inactive: csi
	// Inbound Hold: csi
	// Outbound Hold: csi
	// Lifecycle: csi
	// Feature csi: csi
	// Inline {urn:xmpp:csi:0}inactive: csi
	// Inline {urn:xmpp:csi:0}active: csi
}

// A policy that holds reactions as well, and else asks the default rules.
func ExamplePolicyFunc() {
	rules := new(csi.Rules)
	reactions := xml.Name{Space: "urn:xmpp:reactions:0", Local: "reactions"}
	policy := csi.PolicyFunc(func(it *mux.Item) csi.Decision {
		if c, ok := it.Stanza.Child(reactions); ok {
			return csi.Decision{Action: csi.Hold, Key: csi.Key{What: "reactions", From: it.Stanza.From().Bare(), ID: c.Attr("id")}}
		}
		return rules.Classify(it)
	})
	s, err := mux.Parse([]byte("<message from='juliet@example.org/balcony' type='chat'><reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>&#128077;</reaction></reactions></message>"))
	if err != nil {
		fmt.Println(err)
		return
	}
	it := &mux.Item{Stanza: s}
	fmt.Println(rules.Classify(it).Action, policy.Classify(it).Action)
	_ = csi.New(&csi.Options{Policy: policy})
	// Output: send hold
}
