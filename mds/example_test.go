package mds_test

import (
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
