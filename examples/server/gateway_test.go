package main

import (
	"context"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/register"
)

// numbers is a gateway that knows a number of each account that has registered, by its
// bare address.
type numbers struct {
	mu sync.Mutex
	of map[string]string
	// asked are who has asked, as the server has said.
	asked []string
}

// HandleXMPP implements xmpp.Handler.
func (n *numbers) HandleXMPP(r xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	var iq struct {
		stanza.IQ
		Query *struct {
			Username string    `xml:"username"`
			Remove   *struct{} `xml:"remove"`
		} `xml:"jabber:iq:register query"`
	}
	if err := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(*start), r)).Decode(&iq); err != nil {
		return err
	}
	if iq.Query == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, iq.From.String())
	account := iq.From.Bare().String()
	var payload xml.TokenReader
	switch number, known := n.of[account]; {
	case iq.Type == stanza.GetIQ:
		field := xmlstream.Wrap(xmlstream.Token(xml.CharData(number)), xml.StartElement{Name: xml.Name{Local: "username"}})
		if known {
			field = xmlstream.MultiReader(xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "registered"}}), field)
		}
		payload = xmlstream.Wrap(field, xml.StartElement{Name: xml.Name{Space: register.NS, Local: "query"}})
	case iq.Query.Remove != nil && !known:
		_, err := xmlstream.Copy(r, iq.IQ.Error(stanza.Error{Type: stanza.Auth, Condition: stanza.RegistrationRequired}))
		return err
	case iq.Query.Remove != nil:
		delete(n.of, account)
	default:
		n.of[account] = iq.Query.Username
	}
	_, err := xmlstream.Copy(r, iq.IQ.Result(payload))
	return err
}

func (n *numbers) number(account string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.of[account]
}

// TestGatewayRegistration: clients register with a component, change what they have said
// and take it back; it knows them by their bare addresses, and the server tells it the full
// one (auth-register RG-12).
func TestGatewayRegistration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, data := filepath.Join(dir, "secret"), filepath.Join(dir, "data")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := launch(t, data, "-domain", "example.org", "-component", "127.0.0.1:0", "-component-secret", gateway+"="+file)
	for _, name := range []string{"alice", "bob"} {
		operate(t, data, password, "user", "add", name+"@example.org")
	}
	link, err := connect(t, strings.Fields(between(s.log.await(t, 0, "ready "), "component=", "\n"))[0], gateway, secret)
	if err != nil {
		t.Fatal(err)
	}
	n := &numbers{of: map[string]string{}}
	serveSession(t, link, n)
	login := func(account string) *xmpp.Session {
		t.Helper()
		c, err := newAccount(t, s.addr, account, password, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	at := jid.MustParse(gateway)
	desk, phone, bob := login("alice@example.org/desk"), login("alice@example.org/phone"), login("bob@example.org/home")
	tell := func(c *xmpp.Session, registered bool, before, number string) {
		t.Helper()
		f, err := register.FormAt(ctx, c, at)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Fields) != 1 || f.Registered != registered || strings.Join(f.Fields[0].Values, "") != before {
			t.Errorf("got %+v", f)
		}
		if err := register.RegisterAt(ctx, c, at, f, map[string][]string{"username": {number}}); err != nil {
			t.Fatal(err)
		}
	}
	tell(desk, false, "", "1")
	tell(bob, false, "", "2")
	tell(phone, true, "1", "3")
	if a, b := n.number("alice@example.org"), n.number("bob@example.org"); a != "3" || b != "2" || len(n.of) != 2 {
		t.Errorf("registered %v", n.of)
	}
	if err := register.RemoveAt(ctx, desk, at); err != nil {
		t.Error(err)
	}
	var se stanza.Error
	if err := register.RemoveAt(ctx, phone, at); !errors.As(err, &se) || se.Condition != stanza.RegistrationRequired {
		t.Errorf("removed twice: %v", err)
	}
	// The account at its own server is as it was.
	login("alice@example.org/again")
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, c := range []*xmpp.Session{desk, desk, bob, bob, phone, phone, desk, phone} {
		if got := n.asked[i]; got != c.LocalAddr().String() {
			t.Errorf("request %d came from %s, want %s", i, got, c.LocalAddr())
		}
	}
}
