package pep_test

import (
	"context"
	"fmt"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// Nodes are kept in memory here; sqlstore keeps them over restarts. Whoever reads
// capabilities tells Wants.
func Example() {
	events := pep.New(new(pep.Memory), nil)
	m, err := mux.New(nil, nil, events) // a real one has a host, and a roster
	if err != nil {
		fmt.Println(err)
		return
	}
	var interest pep.Interest = events
	_ = interest
	q := &mux.DiscoQuery{Scope: mux.AtSelf}
	fmt.Println(m.Disco(context.Background(), q), q.Identities[0], q.Features[0])
	// Output: <nil> {pubsub pep  } http://jabber.org/protocol/pubsub
}
