package version_test

import (
	"fmt"
	"os"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/version"
)

func Example() {
	m, err := mux.New(nil, nil, version.New("Example", "1.2", nil)) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// AtHost iq get {jabber:iq:version}query: version
	// Disco AtHost: version
}
