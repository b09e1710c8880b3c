package private_test

import (
	"fmt"
	"os"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/private"
)

func Example() {
	m, err := mux.New(nil, nil, private.New(new(private.Memory), nil)) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// AtSelf iq get {jabber:iq:private}query: private
	// AtSelf iq set {jabber:iq:private}query: private
	// AtHost iq get {jabber:iq:private}query: private
	// AtHost iq set {jabber:iq:private}query: private
	// AtAccount iq get {jabber:iq:private}query: private
	// AtAccount iq set {jabber:iq:private}query: private
	// Disco AtHost: private
}
