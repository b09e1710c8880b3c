package register_test

import (
	"fmt"
	"os"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
)

func Example() {
	accounts := scram.NewService(new(scram.Memory), nil)
	m, err := mux.New(nil, nil, register.New(accounts, &register.Options{Policy: register.Open})) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// ToAccount presence guard: register
	// AtHost iq get {jabber:iq:register}query: register
	// AtHost iq set {jabber:iq:register}query: register
	// AtSelf iq get {jabber:iq:register}query: register
	// AtSelf iq set {jabber:iq:register}query: register
	// Disco AtHost: register
	// Feature register: register
	// Feature register token: register
}
