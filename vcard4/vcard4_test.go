package vcard4_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/vcard"
	"github.com/propolis-im/propolis/vcard4"
)

// assembly is what the tests run on.
type assembly struct {
	nodes pep.Store
	cards vcard.Store
	made  *vcard4.Extension
}

func newAssembly() *assembly { return &assembly{nodes: new(pep.Memory), cards: new(vcard.Memory)} }

func (a *assembly) extensions() []mux.Extension {
	events := pep.New(a.nodes, nil)
	var cards *vcard.Extension
	a.made = vcard4.New(&vcard4.Options{
		Nodes: events,
		Publish: func(ctx context.Context, e *mux.Event, id string, payload mux.Raw) error {
			_, err := events.Publish(ctx, e, pep.Publication{Node: vcard4.Node, ID: id, Payload: payload})
			return err
		},
		Retract: func(ctx context.Context, e *mux.Event, id string) error {
			return events.Retract(ctx, e, vcard4.Node, id)
		},
		Card: func(ctx context.Context, e *mux.Event) (mux.Raw, error) { return cards.Card(ctx, e) },
		Put:  func(e *mux.Event, card mux.Raw) { cards.Put(e, card) },
	})
	events.OnChange(a.made.Changed)
	cards = vcard.New(a.cards, &vcard.Options{Keep: a.made.Keep, Show: a.made.Show, Waits: a.made.Waits})
	return []mux.Extension{events, cards, a.made}
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		a := newAssembly()
		return muxtest.Config{Options: mux.Options{Committer: new(muxtest.Committer), NoRecover: true}, Extensions: a.extensions}
	})
}

// play runs a test with juliet and a stranger. ask returns what is in a result, or the
// conditions of an error.
func play(t *testing.T, f func(a *assembly, h *muxtest.Host, c *muxtest.Committer, ask func(who, typ, payload string) string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, c := newAssembly(), new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, NoRecover: true}, a.extensions()...)
		clients := map[string]*muxtest.Client{"juliet": h.Connect(t, "juliet@example.net/1"), "nurse": h.Connect(t, "nurse@example.net/1")}
		f(a, h, c, func(who, typ, payload string) string {
			clients[who].Clear()
			clients[who].Send("<iq type='" + typ + "' id='1' to='juliet@example.net'>" + payload + "</iq>")
			h.Settle()
			for _, el := range clients[who].Arrived() {
				if s, err := mux.Parse([]byte(el)); err == nil && s.ID() == "1" {
					var b strings.Builder
					for _, k := range s.Children() {
						b.WriteString(k.Raw())
					}
					return b.String()
				}
			}
			return "nothing"
		})
	})
}

const getCard = "<vCard xmlns='vcard-temp'/>"

func publish(inner, access string) string {
	options := ""
	if access != "" {
		options = "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>" +
			"<field var='pubsub#access_model'><value>" + access + "</value></field></x></publish-options>"
	}
	return "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:vcard4'><item id='mine'>" + inner + "</item></publish>" + options + "</pubsub>"
}

// TestAccess: what is published to a node that not everybody may read is not in the card
// for others either.
func TestAccess(t *testing.T) {
	t.Parallel()
	play(t, func(_ *assembly, _ *muxtest.Host, _ *muxtest.Committer, ask func(who, typ, payload string) string) {
		ask("juliet", "set", publish(string(four("<fn><text>Secret</text></fn>")), "whitelist"))
		ask("juliet", "set", string(temp("<FN>Open</FN><UID>1</UID>")))
		if got := ask("juliet", "get", getCard); !strings.Contains(got, "<FN>Open</FN><UID>1</UID>") {
			t.Errorf("got %s", got)
		}
		if got := ask("nurse", "get", getCard); got != string(temp("<UID>1</UID>")) {
			t.Errorf("the nurse got %s", got)
		}
		ask("juliet", "set", publish(string(four("<fn><text>Secret</text></fn>")), ""))
		if got := ask("juliet", "get", getCard); !strings.Contains(got, "<FN>Secret</FN>") || !strings.Contains(got, ">1</UID>") {
			t.Errorf("got %s", got)
		}
		if got := ask("nurse", "get", getCard); got != string(temp("<UID>1</UID>")) {
			t.Errorf("then the nurse got %s", got)
		}
	})
}

// TestTakenBack: what is not published any more is not in the card either, but what has
// no counterpart; by whatever it was taken back.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	for _, back := range []string{
		"<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='urn:xmpp:vcard4'><item id='current'/></retract></pubsub>",
		"<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><purge node='urn:xmpp:vcard4'/></pubsub>",
		"<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><delete node='urn:xmpp:vcard4'/></pubsub>",
	} {
		play(t, func(a *assembly, _ *muxtest.Host, _ *muxtest.Committer, ask func(who, typ, payload string) string) {
			ask("juliet", "set", string(temp("<FN>J</FN><UID>1</UID>")))
			if got := ask("juliet", "set", back); got != "" {
				t.Errorf("got %s", got)
			}
			if got := ask("nurse", "get", getCard); got != string(temp("<UID>1</UID>")) {
				t.Errorf("the nurse got %s", got)
			}
			// And by a card.
			ask("juliet", "set", string(temp("<FN>J</FN><UID>1</UID>")))
			ask("juliet", "set", string(temp("<UID>2</UID>")))
			if got := ask("nurse", "get", getCard); got != string(temp("<UID>2</UID>")) {
				t.Errorf("then the nurse got %s", got)
			}
			if got := ask("nurse", "get", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>"); strings.Contains(got, "<item ") {
				t.Errorf("left %s", got)
			}
		})
	}
}

// TestForeign: what is no vCard4 says nothing of the card, and is replaced when one is
// set; a card that cannot be published is refused.
func TestForeign(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly, _ *muxtest.Host, _ *muxtest.Committer, ask func(who, typ, payload string) string) {
		ask("juliet", "set", publish("<x xmlns='urn:x'/>", ""))
		ask("juliet", "set", string(temp("<UID>2</UID>")))
		if got := ask("nurse", "get", getCard); got != string(temp("<UID>2</UID>")) {
			t.Errorf("the nurse got %s", got)
		}
		if got := ask("juliet", "set", string(temp("<DESC>"+strings.Repeat("x", 255_000)+"</DESC>"))); !strings.Contains(got, "<payload-too-big ") {
			t.Errorf("got %.200s", got)
		}
		ask("juliet", "set", string(temp("<FN>J</FN>")))
		if got := ask("nurse", "get", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>"); !strings.Contains(got, "<item id='mine'>"+string(four("<fn><text>J</text></fn>"))) {
			t.Errorf("got %s", got)
		}
	})
}

// TestHidden: what not everybody may read is not in the card for others either, while it is
// taken back and with something else at the node.
func TestHidden(t *testing.T) {
	t.Parallel()
	play(t, func(_ *assembly, h *muxtest.Host, c *muxtest.Committer, ask func(who, typ, payload string) string) {
		ask("juliet", "set", publish(string(four("<fn><text>Secret</text></fn>")), "whitelist"))
		ask("juliet", "set", string(temp("<FN>Secret</FN><UID>1</UID>")))
		nurse := func(what string) {
			t.Helper()
			if got := ask("nurse", "get", getCard); got != string(temp("<UID>1</UID>")) {
				t.Errorf("%s, the nurse got %s", what, got)
			}
		}
		nurse("before")
		ask("juliet", "set", publish("<x xmlns='urn:x'/>", ""))
		nurse("with something else")
		c.Hold()
		ask("juliet", "set", "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><delete node='urn:xmpp:vcard4'/></pubsub>")
		if got := ask("nurse", "get", getCard); strings.Contains(got, "Secret") {
			t.Errorf("when it is deleted, the nurse got %s", got)
		}
		c.Release()
		h.Settle()
		nurse("at last")
		// What is set then is shown.
		ask("juliet", "set", string(temp("<FN>J</FN>")))
		if got := ask("nurse", "get", getCard); got != string(temp("<FN>J</FN>")) {
			t.Errorf("then the nurse got %s", got)
		}
	})
}

// TestUncommitted: one turn after the other, whatever is written yet.
func TestUncommitted(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly, h *muxtest.Host, c *muxtest.Committer, ask func(who, typ, payload string) string) {
		c.Hold()
		for _, fn := range []string{"a", "b", "c"} {
			if got := ask("juliet", "set", string(temp("<FN>"+fn+"</FN>"))); got != "nothing" {
				t.Errorf("got %s", got)
			}
		}
		c.Release()
		h.Settle()
		if got := ask("nurse", "get", getCard); got != string(temp("<FN>c</FN>")) {
			t.Errorf("the nurse got %s", got)
		}
	})
}

// broken are nodes of which nothing is known.
type broken struct{ *pep.Extension }

func (broken) Last(context.Context, *mux.Event, string) (id, payload string, err error) {
	return "", "", errors.New("on purpose")
}

func (broken) Find(context.Context, *mux.Event, string, string) (func(context.Context) (string, error), error) {
	return nil, errors.New("on purpose")
}

func TestBroken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		events := pep.New(new(pep.Memory), nil)
		var cards *vcard.Extension
		x := vcard4.New(&vcard4.Options{
			Nodes:   broken{events},
			Publish: func(context.Context, *mux.Event, string, mux.Raw) error { return nil },
			Retract: func(context.Context, *mux.Event, string) error { return nil },
			Card:    func(ctx context.Context, e *mux.Event) (mux.Raw, error) { return cards.Card(ctx, e) },
			Put:     func(e *mux.Event, card mux.Raw) { cards.Put(e, card) },
		})
		cards = vcard.New(new(vcard.Memory), &vcard.Options{Keep: x.Keep, Show: x.Show, Waits: x.Waits})
		h := muxtest.New(t, &mux.Options{NoRecover: true}, events, cards, x)
		c := h.Connect(t, "juliet@example.net/1")
		c.Send("<iq type='set' id='1'>" + string(temp("<FN>x</FN>")) + "</iq>")
		if got := c.Next(); !strings.Contains(got, "internal-server-error") {
			t.Errorf("got %s", got)
		}
		c.Send("<iq type='get' id='2'>" + getCard + "</iq>")
		if got := c.Next(); !strings.Contains(got, "internal-server-error") { // who may see what is not known
			t.Errorf("got %s", got)
		}
		q := &mux.DiscoQuery{Scope: mux.AtAccount}
		if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Contains(q.Features, vcard4.NS) {
			t.Errorf("features %q, error %v", q.Features, err)
		}
	})
	if _, err := mux.New(nil, nil, vcard4.New(nil)); err == nil {
		t.Error("no error without anything to work on")
	}
}

// Example is the smallest assembly.
func Example() {
	events := pep.New(new(pep.Memory), nil)
	var cards *vcard.Extension
	views := vcard4.New(&vcard4.Options{
		Nodes: events,
		Publish: func(ctx context.Context, e *mux.Event, id string, payload mux.Raw) error {
			_, err := events.Publish(ctx, e, pep.Publication{Node: vcard4.Node, ID: id, Payload: payload})
			return err
		},
		Retract: func(ctx context.Context, e *mux.Event, id string) error {
			return events.Retract(ctx, e, vcard4.Node, id)
		},
		Card: func(ctx context.Context, e *mux.Event) (mux.Raw, error) { return cards.Card(ctx, e) },
		Put:  func(e *mux.Event, card mux.Raw) { cards.Put(e, card) },
	})
	events.OnChange(views.Changed)
	cards = vcard.New(new(vcard.Memory), &vcard.Options{Keep: views.Keep, Show: views.Show, Waits: views.Waits})

	m, err := mux.New(nil, nil, views) // a real one has a host, events and cards
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// Disco AtSelf: vcard4
	// Disco AtAccount: vcard4
}
