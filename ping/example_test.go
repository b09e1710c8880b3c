package ping_test

import (
	"fmt"
	"os"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/ping"
)

func Example() {
	m, err := mux.New(nil, nil, ping.New()) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// AtHost iq get {urn:xmpp:ping}ping: ping
	// AtSelf iq get {urn:xmpp:ping}ping: ping
	// Disco AtHost: ping
}
