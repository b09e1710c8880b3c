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
)

// withAvatars puts together what has to do with avatars: presence, cards and what
// converts between them and the nodes.
func withAvatars(st *stores, contacts *roster.Extension, events *pep.Extension, log *slog.Logger) (*presence.Extension, *vcard.Extension, *avatar.Extension) {
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
	events.OnChange(avatars.Changed)
	present = presence.New(contacts, &presence.Options{Current: avatars.Current, Logger: log})
	cards = vcard.New(st.vcards, &vcard.Options{Keep: avatars.Keep, Show: avatars.Show, Waits: avatars.Waits, Logger: log})
	return present, cards, avatars
}
