//go:build clients

package clienttest

import (
	"strings"
	"testing"
)

// TestCarbons: alice's laptop with slixmpp and her phone with @xmpp/client see both
// sides of what each of them talks about with bob, and her tablet, which does not ask
// for copies, nothing of it.
func TestCarbons(t *testing.T) {
	s := startServer(t)
	startTLS, direct := s.transports()[0], s.transports()[1]
	laptop := appear(t, "alice's laptop", slixmppCommand(t, s, startTLS, "driven", alice+"/laptop"))
	phone := appear(t, "alice's phone", xmppjsCommand(t, s, direct, password, "driven", alice+"/phone"))
	tablet := appear(t, "alice's tablet", slixmppCommand(t, s, direct, "driven", alice+"/tablet"))
	b := appear(t, "bob", slixmppCommand(t, s, direct, "driven", bob+"/b"))
	for _, p := range []*person{laptop, phone} {
		p.does(t, "carbons", "on")
		p.sees(t, "carbons on")
	}
	both := map[*person]*person{laptop: phone, phone: laptop}

	for from, other := range both {
		from.does(t, "chat", bob, "by the "+from.name)
		b.sees(t, "message "+from.address+" by the "+from.name)
		other.sees(t, "copy sent "+from.address+" "+bob+" by the "+from.name)
	}
	for to, other := range both {
		b.does(t, "chat", to.address, "for the "+to.name)
		to.sees(t, "message "+b.address+" for the "+to.name)
		other.sees(t, "copy received "+b.address+" "+to.address+" for the "+to.name)
	}

	laptop.does(t, "presence", "5") // what is for the account goes there
	b.does(t, "chat", laptop.address, "first")
	laptop.sees(t, "message "+b.address+" first")
	b.does(t, "chat", alice, "for the account")
	laptop.sees(t, "message "+b.address+" for the account")
	phone.sees(t, "copy received "+b.address+" "+alice+" for the account")
	laptop.sawNo(t, "copy received "+b.address+" "+alice+" for the account")

	tablet.does(t, "chat", phone.address, "to another of mine")
	phone.sees(t, "message "+tablet.address+" to another of mine")
	laptop.sees(t, "copy sent "+tablet.address+" "+phone.address+" to another of mine")

	phone.does(t, "carbons", "off")
	phone.sees(t, "carbons off")
	b.does(t, "chat", laptop.address, "not for the phone")
	laptop.sees(t, "message "+b.address+" not for the phone")
	b.does(t, "chat", phone.address, "last")
	phone.sees(t, "message "+b.address+" last")
	phone.sawNo(t, "copy received "+b.address+" "+laptop.address+" not for the phone")
	laptop.sees(t, "copy received "+b.address+" "+phone.address+" last")

	b.does(t, "chat", tablet.address, "nothing else")
	tablet.sees(t, "message "+b.address+" nothing else")
	if text, _ := tablet.text(); strings.Contains(text, "\ncopy ") {
		t.Errorf("the tablet got copies\n%s", tablet.tail())
	}
	for _, p := range []*person{laptop, phone, tablet, b} {
		p.leaves(t)
	}
}
