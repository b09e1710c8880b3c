package entitytime_test

import (
	"fmt"
	"os"

	"github.com/propolis-im/propolis/entitytime"
	"github.com/propolis-im/propolis/mux"
)

func Example() {
	m, err := mux.New(nil, nil, entitytime.New(nil)) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// AtHost iq get {urn:xmpp:time}time: entitytime
	// Disco AtHost: entitytime
}
