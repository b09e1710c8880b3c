//go:build clients

package clienttest

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// person is a client that does what it is told and prints what arrives.
type person struct {
	*console
	address string // full
	stdin   io.WriteCloser
	seen    map[int]bool // lines that were expected
}

// appear starts a client with the command driven, and waits until it has sent
// presence.
func appear(t *testing.T, name string, cmd *exec.Cmd) *person {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &person{console: start(t, name, cmd), stdin: stdin, seen: make(map[int]bool)}
	p.address = strings.TrimPrefix(p.expect(t, "online ", limit), "online ")
	return p
}

// does sends a command.
func (p *person) does(t *testing.T, words ...string) {
	t.Helper()
	line, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		t.Fatalf("%s: %v\n%s", p.name, err, p.tail())
	}
}

// sees waits for lines, in this order with others between, each of which it finds
// once.
func (p *person) sees(t *testing.T, lines ...string) {
	t.Helper()
	late := time.NewTimer(limit)
	defer late.Stop()
	from := 0
	for _, line := range lines {
		for {
			text, changed := p.text()
			if i := p.find(text, line, from); i >= 0 {
				p.seen[i] = true
				from = i
				break
			}
			select {
			case <-changed:
			case <-p.ended:
				if again, _ := p.text(); again != text {
					continue
				}
				t.Fatalf("%s ended (%v) without the line %q\n%s", p.name, p.err, line, p.tail())
			case <-late.C:
				t.Fatalf("%s printed no line %q within %v\n%s", p.name, line, limit, p.tail())
			}
		}
	}
}

// find is the number of the first such line, from one on, that was not seen.
func (p *person) find(text, line string, from int) int {
	n := 0
	for l := range strings.Lines(text) {
		if n >= from && !p.seen[n] && l == line+"\n" {
			return n
		}
		n++
	}
	return -1
}

// forget takes all lines that are there as seen.
func (p *person) forget() {
	text, _ := p.text()
	for n := range strings.Count(text, "\n") {
		p.seen[n] = true
	}
}

// sawNo wants that a line has not arrived; something that came later must have
// been seen.
func (p *person) sawNo(t *testing.T, line string) {
	t.Helper()
	if text, _ := p.text(); p.find(text, line, 0) >= 0 {
		t.Fatalf("%s printed %q\n%s", p.name, line, p.tail())
	}
}

func (p *person) leaves(t *testing.T) {
	t.Helper()
	p.does(t, "leave")
	p.done(t, limit)
}

// available is the line of a presence.
func available(from string) string { return "presence " + from + " available" }

// unavailable is the line of the presence at the end of a session.
func unavailable(from string) string { return "presence " + from + " unavailable" }

// pushed is the line of a roster push.
func pushed(jid, subscription, name string, groups ...string) string {
	line, err := json.Marshal([]any{jid, subscription, name, append([]string{}, groups...)})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return "roster " + string(line)
}

// TestThreeClients: alice and bob with slixmpp and carol with @xmpp/client add
// each other, talk, and part again; alice comes with a second resource.
func TestThreeClients(t *testing.T) {
	s := startServer(t)
	if s.remote {
		t.Skip("this test needs a third account")
	}
	const carol = "carol@" + domain
	s.addUser(t, carol)
	startTLS, direct := s.transports()[0], s.transports()[1]
	laptop := appear(t, "alice's laptop", slixmppCommand(t, s, startTLS, "driven", alice+"/laptop"))
	b := appear(t, "bob", slixmppCommand(t, s, direct, "driven", bob+"/b"))
	c := appear(t, "carol", xmppjsCommand(t, s, direct, password, "driven", carol+"/c"))

	// slixmpp accepts a request and subscribes back by itself.
	laptop.does(t, "subscribe", bob)
	b.sees(t, "presence "+alice+" subscribe", pushed(alice, "both", ""))
	b.sees(t, available(laptop.address))
	laptop.sees(t, "presence "+bob+" subscribed")
	laptop.sees(t, "presence "+bob+" subscribe", pushed(bob, "both", ""))
	laptop.sees(t, available(b.address))
	for _, other := range []*person{laptop, b} {
		account, _, _ := strings.Cut(other.address, "/")
		c.does(t, "subscribe", account)
		other.sees(t, "presence "+carol+" subscribe", pushed(carol, "from", ""))
		c.sees(t, "presence "+account+" subscribed")
		c.sees(t, available(other.address))
		c.sees(t, "presence "+account+" subscribe")
		c.does(t, "subscribed", account)
		c.sees(t, pushed(account, "both", ""))
		other.sees(t, "presence "+carol+" subscribed")
		other.sees(t, available(c.address))
		other.sees(t, pushed(carol, "both", ""))
	}

	for _, from := range []*person{laptop, b, c} {
		for _, to := range []*person{laptop, b, c} {
			if from == to {
				continue
			}
			account, _, _ := strings.Cut(to.address, "/")
			from.does(t, "chat", account, "hello from "+from.name)
			to.sees(t, "message "+from.address+" hello from "+from.name)
		}
	}

	phone := appear(t, "alice's phone", slixmppCommand(t, s, direct, "driven", alice+"/phone"))
	laptop.sees(t, available(phone.address))
	phone.sees(t, available(laptop.address))
	for _, contact := range []*person{b, c} {
		contact.sees(t, available(phone.address))
		phone.sees(t, available(contact.address))
	}
	prefers := func(p, other *person, priority string) {
		t.Helper()
		phone.does(t, "presence", priority)
		for _, contact := range []*person{b, c} {
			contact.sees(t, available(phone.address))
			contact.does(t, "chat", alice, "for the "+p.name)
			contact.does(t, "chat", other.address, "not for the "+p.name)
			p.sees(t, "message "+contact.address+" for the "+p.name)
			other.sees(t, "message "+contact.address+" not for the "+p.name)
			other.sawNo(t, "message "+contact.address+" for the "+p.name)
		}
	}
	prefers(phone, laptop, "5")
	prefers(laptop, phone, "-1")

	laptop.does(t, "item", bob, "Bob the bee", "Bees", "Friends")
	phone.sees(t, pushed(bob, "both", "Bob the bee", "Bees", "Friends"))
	phone.does(t, "item", bob, "Robert", "Drones")
	laptop.sees(t, pushed(bob, "both", "Robert", "Drones"))
	c.does(t, "item", alice, "Queen", "Bees")
	c.sees(t, pushed(alice, "both", "Queen", "Bees"))

	laptop.does(t, "remove", bob)
	phone.sees(t, pushed(bob, "remove", ""))
	parts(t, b, alice, laptop, phone)
	for _, p := range []*person{laptop, phone} {
		p.sees(t, unavailable(b.address))
	}
	c.does(t, "remove", alice)
	for _, p := range []*person{laptop, phone} {
		parts(t, p, carol, c)
		c.sees(t, unavailable(p.address))
	}

	for _, stranger := range []*person{b, c} {
		stranger.forget()
		phone.does(t, "presence", "0", stranger.address)
		stranger.sees(t, available(phone.address))
	}
	phone.leaves(t)
	laptop.sees(t, unavailable(phone.address))
	for _, stranger := range []*person{b, c} {
		stranger.sees(t, unavailable(phone.address))
		stranger.sawNo(t, available(laptop.address))
	}

	b.leaves(t)
	c.sees(t, unavailable(b.address)) // still contacts
	c.leaves(t)
	laptop.leaves(t)
}

// parts wants all that somebody sees whom a contact with these sessions has
// removed.
func parts(t *testing.T, p *person, contact string, sessions ...*person) {
	t.Helper()
	for _, kind := range []string{"unsubscribe", "unsubscribed"} {
		p.sees(t, "presence "+contact+" "+kind)
	}
	p.sees(t, pushed(contact, "none", ""))
	for _, s := range sessions {
		p.sees(t, unavailable(s.address))
	}
}
