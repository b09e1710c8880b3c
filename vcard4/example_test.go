package vcard4_test

import (
	"fmt"

	"github.com/propolis-im/propolis/vcard4"
)

func ExampleFromTemp() {
	v4, rest, err := vcard4.FromTemp("<vCard xmlns='vcard-temp'><FN>Juliet</FN><JABBERID>juliet@example.net</JABBERID><UID>1</UID></vCard>", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v4)
	fmt.Println(rest)
	// Output:
	// <vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Juliet</text></fn><impp><uri>xmpp:juliet@example.net</uri></impp></vcard>
	// <vCard xmlns='vcard-temp'><UID>1</UID></vCard>
}
