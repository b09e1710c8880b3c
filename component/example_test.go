package component_test

import (
	"fmt"
	"os"

	"github.com/propolis-im/propolis/component"
	"github.com/propolis-im/propolis/mux"
)

func Example() {
	components := component.New(&component.Options{Components: []component.Component{
		{Domain: "chat.example.net", Secret: []byte("from a file"), Name: "Rooms"},
	}})
	m, err := mux.New(nil, nil, components) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	fmt.Println(components.Known("chat.example.net"))
	// Output:
	// Entity chat.example.net: component
	// Disco AtHost: component
	// true
}

// The handshake of a stream, as a component written in Go makes it;
// NewSession of mellium.im/xmpp/component does it all.
func ExampleHandshake() {
	fmt.Println(component.Handshake("1234", []byte("secret")))
	// Output: 32532c0f7dbf1253c095b18b18e36d38d94c1256
}
