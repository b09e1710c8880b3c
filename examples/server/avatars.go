package main

import (
	"context"
	"log/slog"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/vcard"
	"github.com/propolis-im/propolis/vcard4"
)

// withAvatars puts together what has to do with cards and avatars: presence, cards and what
// converts between them and the nodes.
func withAvatars(st *stores, contacts *roster.Extension, events *pep.Extension, log *slog.Logger) (*presence.Extension, *vcard.Extension, *avatar.Extension, *vcard4.Extension) {
	var present *presence.Extension
	var cards *vcard.Extension
	avatars := avatar.New(&avatar.Options{
		Nodes: events,
		Publish: func(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw) error {
			_, err := events.Publish(ctx, e, pep.Publication{Node: node, ID: id, Payload: payload,
				Defaults: map[string][]string{"access_model": {"open"}}, // as cards are
				Counted:  node == avatar.NSMetadata})                    // with the data
			return err
		},
		Card:       func(ctx context.Context, e *mux.Event) (mux.Raw, error) { return cards.Card(ctx, e) },
		CardCached: func(e *mux.Event) bool { return cards.Cached(e) },
		Resend:     func(ctx context.Context, e *mux.Event, s *mux.Session) { present.Resend(ctx, e, s) },
		Logger:     log,
	})
	views := vcard4.New(&vcard4.Options{
		Nodes: events,
		Publish: func(ctx context.Context, e *mux.Event, id string, payload mux.Raw) error {
			_, err := events.Publish(ctx, e, pep.Publication{Node: vcard4.Node, ID: id, Payload: payload})
			return err
		},
		Retract: func(ctx context.Context, e *mux.Event, id string) error {
			return events.Retract(ctx, e, vcard4.Node, id)
		},
		Card:   func(ctx context.Context, e *mux.Event) (mux.Raw, error) { return cards.Card(ctx, e) },
		Put:    func(e *mux.Event, card mux.Raw) { cards.Put(e, card) },
		Logger: log,
	})
	events.OnChange(avatars.Changed)
	events.OnChange(views.Changed)
	present = presence.New(contacts, &presence.Options{Current: avatars.Current, Logger: log})
	cards = vcard.New(st.vcards, &vcard.Options{
		Keep: func(ctx context.Context, e *mux.Event, card mux.Raw) (mux.Raw, error) {
			card, err := avatars.Keep(ctx, e, card)
			if err != nil {
				return "", err
			}
			return views.Keep(ctx, e, card)
		},
		Show: func(ctx context.Context, e *mux.Event) func(context.Context, mux.Raw) (mux.Raw, error) {
			return both(views.Show(ctx, e), avatars.Show(ctx, e))
		},
		Waits:  func(e *mux.Event) bool { return avatars.Waits(e) || views.Waits(e) },
		Logger: log,
	})
	return present, cards, avatars, views
}

// both changes a card in two ways, each of which may be nil.
func both(first, second func(context.Context, mux.Raw) (mux.Raw, error)) func(context.Context, mux.Raw) (mux.Raw, error) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return func(ctx context.Context, card mux.Raw) (mux.Raw, error) {
		card, err := first(ctx, card)
		if err != nil {
			return "", err
		}
		return second(ctx, card)
	}
}
