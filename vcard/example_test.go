package vcard_test

import (
	"fmt"
	"os"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/vcard"
)

func Example() {
	m, err := mux.New(nil, nil, vcard.New(new(vcard.Memory), nil)) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// AtSelf iq get {vcard-temp}vCard: vcard
	// AtSelf iq set {vcard-temp}vCard: vcard
	// AtAccount iq get {vcard-temp}vCard: vcard
	// AtAccount iq set {vcard-temp}vCard: vcard
	// AtHost iq set {vcard-temp}vCard: vcard
	// Disco AtHost: vcard
	// Disco AtSelf: vcard
	// Disco AtAccount: vcard
}
