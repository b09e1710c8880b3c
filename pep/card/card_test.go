package card_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/pep/card"
	"github.com/propolis-im/propolis/pep/peptest"
)

var (
	juliet  = jid.MustParse("juliet@example.net")
	errTest = errors.New("test")
)

// foreign is a card by another program, with what this one does not know.
const foreign = mux.Raw(`<v:vcard xmlns:v="urn:ietf:params:xml:ns:vcard-4.0" xmlns:z="urn:z" xml:lang="it"><v:fn><v:text>Giulietta</v:text></v:fn>
<v:tel><v:parameters><v:type><v:text>work</v:text></v:type></v:parameters><v:uri>tel:1</v:uri></v:tel><x xmlns="urn:x" z:q="1">a<y/>b</x>
<v:group name="g"><v:fn><v:text>Other</v:text></v:fn></v:group><v:tel><v:uri>tel:2</v:uri></v:tel></v:vcard>`)

// TestUpdate: PVC-4, C-20: a card is published whole, with what nobody here knows.
func TestUpdate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := peptest.New(t, "tybalt@example.net")
		c, tybalt := s.Client("juliet@example.net/balcony", nil), s.Client("tybalt@example.net/x", nil)
		if _, err := card.Get(ctx, tybalt, juliet); !errors.Is(err, pep.ErrNoItem) {
			t.Errorf("no card: %v", err)
		}
		rename := func(c *card.Card) error { return c.Set("fn", "text", "Juliet & Co") }
		if err := card.Update(ctx, c, nil, rename); err != nil {
			t.Fatal(err)
		}
		if got, err := card.Get(ctx, tybalt, juliet); err != nil || got.Get("fn", "text") != "Juliet & Co" {
			t.Errorf("a stranger reads %+v, error %v", got, err)
		}
		if f, err := c.GetConfig(ctx, card.Node); err != nil || f.Get("access_model") != "open" || f.Get("send_last_published_item") != "never" || f.Get("max_items") != "1" {
			t.Errorf("configuration %v, error %v", f, err)
		}
		if _, err := c.Publish(ctx, card.Node, "some-id", foreign, nil); err != nil {
			t.Fatal(err)
		}
		if err := card.Update(ctx, c, nil, func(c *card.Card) error {
			if got := c.All("tel", "uri"); !reflect.DeepEqual(got, []string{"tel:1", "tel:2"}) || c.Get("fn", "text") != "Giulietta" || c.Get("nickname", "text") != "" {
				t.Errorf("tel %q", got)
			}
			return errors.Join(rename(c), c.Set("nickname", "text", "J", "Ju"), c.Set("tel", "uri"),
				c.Put("adr", mux.Raw("<adr xmlns='"+card.NS+"'><street>Via</street></adr>")))
		}); err != nil {
			t.Fatal(err)
		}
		p, err := c.Newest(ctx, jid.JID{}, card.Node)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Juliet &amp; Co", "urn:x", "a<y/>b", "name='g'", "Other", "<nickname><text>Ju</text></nickname>", "<street>Via</street>", "lang='it'"} {
			if !strings.Contains(string(p.Payload), want) {
				t.Errorf("%s is not in %s", want, p.Payload)
			}
		}
		if strings.Contains(string(p.Payload), "tel:") || strings.Contains(string(p.Payload), "Giulietta") || p.ID != "current" {
			t.Errorf("item %s: %s", p.ID, p.Payload)
		}
		got, err := card.Get(ctx, c, juliet)
		if err != nil {
			t.Fatal(err)
		}
		var streets []string
		if err := got.Decode("adr", func(decode func(any) error) error {
			var v struct {
				Street string `xml:"urn:ietf:params:xml:ns:vcard-4.0 street"`
			}
			err := decode(&v)
			streets = append(streets, v.Street)
			return err
		}); err != nil || !reflect.DeepEqual(streets, []string{"Via"}) {
			t.Errorf("streets %q, error %v", streets, err)
		}
		if err := got.Decode("adr", func(func(any) error) error { return errTest }); err != errTest {
			t.Errorf("error %v", err)
		}
	})
}

// TestNotReplaced: what cannot be read, or is not changed, is not written.
func TestNotReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := peptest.New(t).Client("juliet@example.net/balcony", nil)
		const odd = mux.Raw("<x xmlns='urn:x'/>")
		if _, err := c.Publish(ctx, card.Node, "current", odd, nil); err != nil {
			t.Fatal(err)
		}
		if err := card.Update(ctx, c, nil, func(*card.Card) error { return nil }); !errors.Is(err, pep.ErrPayload) {
			t.Errorf("something else: %v", err)
		}
		if _, err := c.Publish(ctx, card.Node, "current", foreign, nil); err != nil {
			t.Fatal(err)
		}
		for name, f := range map[string]func(c *card.Card) error{
			"error":             func(*card.Card) error { return errTest },
			"control character": func(c *card.Card) error { return c.Set("fn", "text", "\x01") },
			"another property":  func(c *card.Card) error { return c.Put("adr", mux.Raw("<fn xmlns='"+card.NS+"'/>")) },
			"malformed":         func(c *card.Card) error { return c.Put("adr", mux.Raw("<adr>")) },
		} {
			if err := card.Update(ctx, c, nil, f); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if got, err := card.Get(ctx, c, jid.JID{}); err != nil || got.Get("fn", "text") != "Giulietta" {
			t.Errorf("card %+v, error %v", got, err)
		}
		// The node is another than it should be: that is repaired on request only.
		if err := c.SetConfig(ctx, card.Node, &pep.NodeOptions{Access: pep.AccessWhitelist}); err != nil {
			t.Fatal(err)
		}
		same := func(*card.Card) error { return nil }
		if err := card.Update(ctx, c, nil, same); !errors.Is(err, pep.ErrPreconditionNotMet) || !errors.Is(err, stanza.Error{Condition: stanza.Conflict}) {
			t.Errorf("a private node: %v", err)
		}
		if err := card.Update(ctx, c, &card.Options{Repair: pep.RepairOpening}, same); err != nil {
			t.Errorf("repaired: %v", err)
		}
		if err := card.Update(ctx, c, &card.Options{Access: pep.AccessPresence, Repair: pep.RepairNode}, same); err != nil {
			t.Errorf("narrowed: %v", err)
		}
	})
}

// TestWatch: PVC-4: what is told without the card is read.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := peptest.New(t)
		c, romeo := s.Client("juliet@example.net/balcony", nil), s.Client("romeo@example.net/orchard", nil)
		var got []string
		stop, err := card.Watch(romeo, func(_ context.Context, of jid.JID, c *card.Card) {
			name := "gone"
			if c != nil {
				name = c.Get("fn", "text")
			}
			got = append(got, of.String()+" "+name)
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		s.Present(romeo)
		if _, err := c.Create(ctx, card.Node, &pep.NodeOptions{Access: pep.AccessOpen, Payloads: pep.No, SendLast: pep.LastNever}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"J", "J", "K"} {
			if err := card.Update(ctx, c, nil, func(c *card.Card) error { return c.Set("fn", "text", name) }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		// An older item that goes takes nothing with it.
		if err := c.SetConfig(ctx, card.Node, &pep.NodeOptions{MaxItems: 2}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Publish(ctx, card.Node, "other", mux.Raw("<vcard xmlns='"+card.NS+"'><fn><text>L</text></fn></vcard>"), nil); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"current", "other"} {
			if err := c.Retract(ctx, card.Node, id); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if want := []string{"juliet@example.net J", "juliet@example.net K", "juliet@example.net L", "juliet@example.net gone"}; !reflect.DeepEqual(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

// A card is made and changed; what else is in it stays.
func Example() {
	var juliet card.Card
	err := xml.Unmarshal([]byte("<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Juliet</text></fn><x xmlns='urn:example:x'/></vcard>"), &juliet)
	if err == nil {
		err = juliet.Set("fn", "text", "Juliet Capulet")
	}
	fmt.Println(juliet.Get("fn", "text"), err)
	change := func(ctx context.Context, c *pep.Client) error {
		return card.Update(ctx, c, nil, func(c *card.Card) error { return c.Set("note", "text", "in Verona") })
	}
	_ = change
	// Output: Juliet Capulet <nil>
}
