package avatar_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"io"
	"net/http"
	"os"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/vcard"
)

func Example() {
	contacts := roster.New(new(roster.Memory), nil)
	events := pep.New(new(pep.Memory), &pep.Options{Subscription: contacts.Subscription, Contacts: contacts.Contacts,
		Waits: func(e *mux.Event) bool { return !contacts.Cached(e) }})
	var cards *vcard.Extension
	var present *presence.Extension
	avatars := avatar.New(&avatar.Options{
		Nodes: events,
		Publish: func(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw) error {
			_, err := events.Publish(ctx, e, pep.Publication{Node: node, ID: id, Payload: payload,
				Defaults: map[string][]string{"access_model": {pep.AccessOpen}}})
			return err
		},
		Card:       func(ctx context.Context, e *mux.Event) (mux.Raw, error) { return cards.Card(ctx, e) },
		CardCached: func(e *mux.Event) bool { return cards.Cached(e) },
		Resend:     func(ctx context.Context, e *mux.Event, s *mux.Session) { present.Resend(ctx, e, s) },
	})
	events.OnChange(avatars.Changed)
	cards = vcard.New(new(vcard.Memory), &vcard.Options{Keep: avatars.Keep, Show: avatars.Show, Waits: avatars.Waits})
	present = presence.New(contacts, &presence.Options{Current: avatars.Current})

	m, err := mux.New(nil, nil, avatars) // a real one has a host, and the others
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// FromPeer presence modify: avatar
	// Lifecycle: avatar
	// Disco AtSelf: avatar
	// Disco AtAccount: avatar
}

// wired is a client that works with that of package pep, with package vcard and with
// whatever downloads.
func wired(s *xmpp.Session, account jid.JID, nodes *pep.Client, web *http.Client) *avatar.Client {
	return avatar.NewClient(&avatar.ClientOptions{
		Nodes: nodes,
		Card:  func(ctx context.Context, of jid.JID, v any) error { return vcard.GetAt(ctx, s, of, v) },
		Get: func(ctx context.Context, url string) (string, io.ReadCloser, error) {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return "", nil, err
			}
			a, err := web.Do(r)
			if err != nil {
				return "", nil, err
			}
			if a.StatusCode != http.StatusOK {
				a.Body.Close()
				return "", nil, fmt.Errorf("%s", a.Status)
			}
			return a.Header.Get("Content-Type"), a.Body, nil
		},
		Account: account,
	})
}

func ExampleClient_Seen() {
	juliet := jid.MustParse("juliet@example.net")
	c := wired(nil, juliet, nil, http.DefaultClient) // a real one has a session

	var said avatar.Update // in presence of romeo@example.net/orchard
	err := xml.Unmarshal([]byte("<x xmlns='vcard-temp:x:update'><photo>E4B76F01B504C446CC5369478587EA4FBDD6D123</photo></x>"), &said)
	if err != nil {
		fmt.Println(err)
		return
	}
	hash, ok := c.Seen(jid.MustParse("romeo@example.net/orchard"), said)
	fmt.Println(hash, ok) // … c.FetchHash(ctx, from.Bare(), hash)
	// Output: e4b76f01b504c446cc5369478587ea4fbdd6d123 true
}

// A client shows the avatars of contacts, and publishes one.
func ExampleClient() {
	run := func(ctx context.Context, nodes *pep.Client, own image.Image) error {
		avatars := avatar.NewClient(&avatar.ClientOptions{Nodes: nodes})
		stop, err := avatars.Watch(func(ctx context.Context, of jid.JID, m avatar.Metadata) {
			switch im, err := avatars.Fetch(ctx, of, m); {
			case errors.Is(err, avatar.ErrNone):
				fmt.Println(of, "has none")
			case err == nil:
				fmt.Println(of, im.Type, len(im.Data))
			}
		})
		if err != nil {
			return err
		}
		defer stop()
		im, err := avatar.Encode(own)
		if err == nil {
			_, err = avatars.Publish(ctx, im, pep.AccessPresence)
		}
		return err
	}
	_ = run
	// Output:
}
