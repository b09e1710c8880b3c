// Package profile is what the command profile does on a plain session of mellium.im/xmpp:
// it shows the clients of personal eventing together.
package profile

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/roster"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/pep/nick"
	"github.com/propolis-im/propolis/pep/omemo"
)

// Wishes are what is to be published; what is empty is not.
type Wishes struct {
	Nick, Room string
	Picture    image.Image
}

// bot is a session and what runs on it.
type bot struct {
	session  *xmpp.Session
	nodes    *pep.Client
	announce caps.Announcer
	contacts sync.Map // those whose presence comes, by their bare addresses
	say      func(line string)
}

// Run works on a session until ctx or the session ends, and says what happens.
func Run(ctx context.Context, session *xmpp.Session, w *Wishes, say func(line string)) error {
	b := &bot{session: session, say: say, announce: caps.Announcer{Node: "https://propolis.example/profile"}}
	b.nodes = pep.NewClient(session, &pep.ClientOptions{
		Contact: func(bare jid.JID) bool { _, is := b.contacts.Load(bare.String()); return is },
	})
	defer b.nodes.Close()
	stopped := context.AfterFunc(ctx, func() { session.Close(); session.Conn().Close() })
	defer stopped()

	served := make(chan error, 1)
	go func() {
		served <- session.Serve(xmppmux.New(stanza.NSClient, b.nodes.Handle(),
			xmppmux.IQFunc(stanza.SetIQ, xml.Name{Space: roster.NS, Local: "query"}, mux.Handle(b.push)),
			xmppmux.IQFunc(stanza.GetIQ, xml.Name{Space: caps.NSInfo, Local: "query"}, mux.Handle(b.answer))))
	}()
	err := b.begin(ctx, w)
	if err == nil {
		err = <-served
	} else {
		session.Conn().Close()
		<-served // for the same reason, or by that
	}
	if ctx.Err() != nil {
		return nil // that was the reason
	}
	return err
}

// begin watches, is there, reads and publishes, in this order.
func (b *bot) begin(ctx context.Context, w *Wishes) error {
	avatars, marks := avatar.NewClient(&avatar.ClientOptions{Nodes: b.nodes}), bookmarks.NewClient(b.nodes, nil)
	device, err := omemo.New(b.nodes, 1+rand.Uint32N(1<<31-1), nil) // one with keys keeps its number
	if err != nil {
		return err
	}
	_, err = avatars.Watch(func(ctx context.Context, of jid.JID, m avatar.Metadata) {
		if im, err := avatars.Fetch(ctx, of, m); !errors.Is(err, avatar.ErrNone) {
			b.say(fmt.Sprintf("avatar of %s: %s, %d octets, error %v", of, im.Type, len(im.Data), err))
		}
	})
	_, _, err2 := nick.Watch(b.nodes, func(_ context.Context, of jid.JID, name string) { b.say(fmt.Sprintf("%s is called %s", of, name)) })
	_, err3 := marks.Watch(func(_ context.Context, ch bookmarks.Changed) {
		b.say(fmt.Sprintf("room %s, join %t, removed %t", ch.Bookmark.Room, ch.Join, ch.Removed))
	})
	_, err4 := device.Watch()
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return err
	}

	// Contacts first, then presence with what is watched, then what is not sent by itself.
	for it := roster.Fetch(ctx, b.session); ; {
		if !it.Next() {
			if err := errors.Join(it.Err(), it.Close()); err != nil {
				return err
			}
			break
		}
		b.note(it.Item())
	}
	if err := errors.Join(b.present(ctx), b.nodes.Begin(ctx)); err != nil {
		return err
	}

	if w.Picture != nil {
		im, err := avatar.Encode(w.Picture)
		if err == nil {
			_, err = avatars.Publish(ctx, im, "")
		}
		if err != nil {
			return err
		}
	}
	if w.Nick != "" {
		err = nick.Set(ctx, b.nodes, w.Nick)
	}
	if w.Room != "" {
		err = errors.Join(err, marks.Put(ctx, bookmarks.Bookmark{Room: w.Room, Autojoin: true}))
	}
	return errors.Join(err, device.Announce(ctx))
}

// present tells the server what is watched, by the hash of what answer says.
func (b *bot) present(ctx context.Context) error {
	if _, err := b.announce.Set(&caps.Info{Identities: []caps.Identity{{Category: "client", Type: "bot"}},
		Features: append(b.nodes.Features(), caps.NSInfo)}); err != nil {
		return err
	}
	return b.session.Send(ctx, stanza.Presence{}.Wrap(b.announce.Presence().TokenReader()))
}

func (b *bot) answer(_ context.Context, s *mux.Stanza) (xmlstream.Marshaler, error) {
	query, ok := b.announce.Answer(s.Children()[0].Attr("node"))
	if !ok {
		return nil, stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
	}
	return query, nil
}

// push is told of changes of the roster, which only the own server may tell of: whoever
// could would be a contact. A session of mellium leaves its address out.
func (b *bot) push(_ context.Context, s *mux.Stanza) (xmlstream.Marshaler, error) {
	var q struct {
		Items []roster.Item `xml:"jabber:iq:roster item"`
	}
	if s.Attr("from") != "" {
		return nil, stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable} // RFC 6121 §2.1.6
	}
	if err := s.Children()[0].Decode(&q); err != nil {
		return nil, stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	}
	for _, item := range q.Items {
		b.note(item)
	}
	return nil, nil
}

func (b *bot) note(item roster.Item) {
	if item.Subscription == "to" || item.Subscription == "both" {
		b.contacts.Store(item.JID.Bare().String(), nil)
	} else {
		b.contacts.Delete(item.JID.Bare().String())
	}
}
